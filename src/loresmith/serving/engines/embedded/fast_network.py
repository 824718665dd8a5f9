"""The fast path: decoders of the Llama kind in few operations a layer.

    h = x + O attention(rope(norm_q(Q n1(x))), rope(norm_k(K n1(x))), V n1(x))
    x' = h + D (silu(G n2(h)) * U n2(h))

with Q, K, V as one map. It is taken where a model has just these parts and computes, on a few tokens,
what transformers computes; whoever has a twist of another kind goes the generic path.

Legend: N tokens of a step, S segments that ask for logits, V vocabulary, I width, H query heads, K key-value heads,
D size of a head, F inner width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from loresmith.serving.engines.embedded.layout import Layout
from loresmith.serving.engines.embedded.served_linear import ServedLinear
from loresmith.serving.engines.embedded.slot_attention import SlotAttention, Twist
from loresmith.serving.engines.embedded.slot_cache import SlotCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""Whose forward function this is, by their `model_type`."""

_ATTENTION = ("q_proj", "k_proj", "v_proj")

_Norm = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Layer:
    norm: _Norm
    qkv: ServedLinear
    q_norm: _Norm | None
    k_norm: _Norm | None
    o: ServedLinear
    after_norm: _Norm
    gate: ServedLinear
    up: ServedLinear
    down: ServedLinear
    twist: Twist


class FastNetwork:
    """A model of one of FAMILIES over slots."""

    path = "fast"
    reuses = True
    pieces = True

    def __init__(self, model: PreTrainedModel, slots: int, window: int) -> None:
        body: Any = model.model
        config = model.config
        self._dtype = model.dtype
        self._cache = SlotCache(slots, window, model.dtype, model.device)
        self._head_size: int = body.layers[0].self_attn.head_dim
        self._heads: int = config.num_attention_heads
        self._key_heads: int = config.num_key_value_heads
        self._embedding: nn.Embedding = body.embed_tokens
        self._rope = body.rotary_emb
        self.linears: dict[str, tuple[ServedLinear, int]] = {}
        self._layers = [self._layer(f"model.layers.{number}", layer) for number, layer in enumerate(body.layers)]
        self._head = ServedLinear([model.lm_head])
        self._norm = _norm(body.norm)

    @torch.inference_mode()
    def forward(self, layout: Layout) -> Tensor:
        attention = SlotAttention(layout, self._cache, self._dtype)
        adapters = layout.adapters
        x_NI = self._embedding(layout.token_ids)
        cos_1ND, sin_1ND = self._rope(x_NI, layout.positions[None])
        cos_N1D, sin_N1D = cos_1ND[0][:, None], _first_half_negated(sin_1ND[0][:, None])
        q_size, k_size = self._heads * self._head_size, self._key_heads * self._head_size
        for number, layer in enumerate(self._layers):
            qkv_NO = layer.qkv(layer.norm(x_NI), adapters)
            q_NHD = qkv_NO[:, :q_size].view(-1, self._heads, self._head_size)
            k_NKD = qkv_NO[:, q_size : q_size + k_size].view(-1, self._key_heads, self._head_size)
            v_NKD = qkv_NO[:, q_size + k_size :].view(-1, self._key_heads, self._head_size)
            if layer.q_norm is not None and layer.k_norm is not None:
                q_NHD, k_NKD = layer.q_norm(q_NHD), layer.k_norm(k_NKD)
                q_NHD, k_NKD = _rotated(q_NHD, cos_N1D, sin_N1D), _rotated(k_NKD, cos_N1D, sin_N1D)
            else:
                qk_NXD = qkv_NO[:, : q_size + k_size].view(-1, self._heads + self._key_heads, self._head_size)
                turned_NXD = _rotated(qk_NXD, cos_N1D, sin_N1D)
                q_NHD, k_NKD = turned_NXD[:, : self._heads], turned_NXD[:, self._heads :]
            seen_NHD = attention.attend(number, q_NHD, k_NKD, v_NKD, layer.twist)
            x_NI = layer.o.plus(seen_NHD.flatten(1), x_NI, adapters)
            normed_NI = layer.after_norm(x_NI)
            inner_NF = layer.up.times(normed_NI, layer.gate.silu(normed_NI, adapters), adapters)
            x_NI = layer.down.plus(inner_NF, x_NI, adapters)
        return self._head(self._norm(x_NI[layout.asked_rows]), {})

    def copy_beginning(self, source: int, target: int, positions: int) -> None:
        self._cache.copy_beginning(source, target, positions)

    def forget(self, slot: int) -> None:
        """Nothing to do: what comes next writes over it, and sees no further than it has written."""

    @staticmethod
    def let_go(model: PreTrainedModel) -> None:
        """Free the weights that are laid out anew, but for those that the embedding shares."""
        shared = model.get_input_embeddings().weight
        for module in model.modules():
            if isinstance(module, nn.Linear) and module.weight is not shared:
                module.weight = nn.Parameter(module.weight.new_empty(0), requires_grad=False)

    def _layer(self, name: str, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        return _Layer(
            norm=_norm(layer.input_layernorm),
            qkv=self._linear(f"{name}.self_attn", attention, _ATTENTION),
            q_norm=_norm(attention.q_norm) if hasattr(attention, "q_norm") else None,
            k_norm=_norm(attention.k_norm) if hasattr(attention, "k_norm") else None,
            o=self._linear(f"{name}.self_attn", attention, ("o_proj",)),
            after_norm=_norm(layer.post_attention_layernorm),
            gate=self._linear(f"{name}.mlp", mlp, ("gate_proj",)),
            up=self._linear(f"{name}.mlp", mlp, ("up_proj",)),
            down=self._linear(f"{name}.mlp", mlp, ("down_proj",)),
            twist=Twist(scaling=attention.scaling, window=_window(attention)),
        )

    def _linear(self, name: str, module: nn.Module, parts: tuple[str, ...]) -> ServedLinear:
        linear = ServedLinear([getattr(module, part) for part in parts])
        for number, part in enumerate(parts):
            self.linears[f"{name}.{part}"] = (linear, number)
        return linear


def _norm(module: Any) -> _Norm:
    """RMSNorm (Zhang and Sennrich 2019): x / sqrt(mean(x^2) + epsilon) * weight, rounded once.

    On CPUs in half precision torch's own is many operations, and takes ten times as long for the tokens of a prompt.
    """
    weight, epsilon = module.weight.detach(), module.variance_epsilon
    if weight.device.type != "cpu" or weight.dtype == torch.float32:
        return lambda x: nn.functional.rms_norm(x, weight.shape, weight, epsilon)
    full_weight, width = weight.float(), weight.numel()

    def norm(x: Tensor) -> Tensor:
        full = x.float()
        length = torch.linalg.vector_norm(full, dim=-1, keepdim=True)
        return full.mul_(length.square_().div_(width).add_(epsilon).rsqrt_()).mul_(full_weight).to(x.dtype)

    return norm


def _window(attention: Any) -> int | None:
    """The keys that a layer's queries see, where they do not see all."""
    windowed = attention if hasattr(attention, "sliding_window") else attention.config
    return getattr(windowed, "sliding_window", None)


def _first_half_negated(sin_N1D: Tensor) -> Tensor:
    first_N1E, second_N1E = sin_N1D.chunk(2, dim=-1)
    return torch.cat((-first_N1E, second_N1E), -1)


def _rotated(x_NXD: Tensor, cos_N1D: Tensor, sin_N1D: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021), the halves of a head turned against one another as in Llama.

    Args:
        sin_N1D: with its first half negated, as the second half of a head is where it takes part in the first.
    """
    first_NXE, second_NXE = x_NXD.chunk(2, dim=-1)
    return torch.cat((second_NXE, first_NXE), -1).mul_(sin_N1D).addcmul_(x_NXD, cos_N1D)
