"""The fast path: decoders of the Llama kind in few operations a layer.

    h = x + O attention(rope(norm_q(Q n1(x))), rope(norm_k(K n1(x))), V n1(x))
    x' = h + D (silu(G n2(h)) * U n2(h))

with Q, K, V as one map. It is taken where a model has just these parts and computes, on a few tokens,
what transformers computes; whoever has a twist of another kind goes the generic path.

Legend: N tokens of a step, V vocabulary, I width, O width of a map's output, H query heads, D size of a head, F inner
width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from loresmith.serving.engines.embedded.layout import Layout
from loresmith.serving.engines.embedded.rms_norm import RmsNorm
from loresmith.serving.engines.embedded.served_linear import ServedLinear
from loresmith.serving.engines.embedded.slot_attention import slot_attention
from loresmith.serving.engines.embedded.slot_cache import SlotCache
from loresmith.serving.engines.embedded.twist import Angles, Heads, Twist

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""Whose forward function this is, by their `model_type`."""

_ATTENTION = ("q_proj", "k_proj", "v_proj")


@dataclass(frozen=True)
class _Layer:
    norm: RmsNorm
    qkv: ServedLinear
    heads: Heads
    o: ServedLinear
    after_norm: RmsNorm
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
        self._dtype = model.dtype
        self._cache = SlotCache(slots, window, model.dtype, model.device)
        self._config = model.config
        self._embedding: nn.Embedding = body.embed_tokens
        self._rope = body.rotary_emb
        self.linears: dict[str, tuple[ServedLinear, int]] = {}
        self._layers = [self._layer(f"model.layers.{number}", layer) for number, layer in enumerate(body.layers)]
        self._head = ServedLinear([model.lm_head])
        self._norm = RmsNorm(body.norm)

    @torch.inference_mode()
    def forward(self, layout: Layout) -> Tensor:
        attention = slot_attention(layout, self._cache, self._dtype)
        adapters = layout.adapters
        x_NI = self._embedding(layout.token_ids)
        cos_1ND, sin_1ND = self._rope(x_NI, layout.positions[None])
        angles = Angles(cos_1ND[0], sin_1ND[0])
        for number, layer in enumerate(self._layers):
            qkv_NO = layer.qkv(layer.norm(x_NI), adapters)
            seen_NHD = attention.attend_turned(number, qkv_NO, layer.heads, angles, layer.twist)
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
            norm=RmsNorm(layer.input_layernorm),
            qkv=self._linear(f"{name}.self_attn", attention, _ATTENTION),
            heads=self._heads(attention),
            o=self._linear(f"{name}.self_attn", attention, ("o_proj",)),
            after_norm=RmsNorm(layer.post_attention_layernorm),
            gate=self._linear(f"{name}.mlp", mlp, ("gate_proj",)),
            up=self._linear(f"{name}.mlp", mlp, ("up_proj",)),
            down=self._linear(f"{name}.mlp", mlp, ("down_proj",)),
            twist=Twist(scaling=attention.scaling, window=_window(attention)),
        )

    def _heads(self, attention: Any) -> Heads:
        config = self._config
        normed = hasattr(attention, "q_norm")
        return Heads(
            queries=config.num_attention_heads,
            keys=config.num_key_value_heads,
            size=attention.head_dim,
            query_norm=RmsNorm(attention.q_norm) if normed else None,
            key_norm=RmsNorm(attention.k_norm) if normed else None,
        )

    def _linear(self, name: str, module: nn.Module, parts: tuple[str, ...]) -> ServedLinear:
        linear = ServedLinear([getattr(module, part) for part in parts])
        for number, part in enumerate(parts):
            self.linears[f"{name}.{part}"] = (linear, number)
        return linear


def _window(attention: Any) -> int | None:
    """The keys that a layer's queries see, where they do not see all."""
    windowed = attention if hasattr(attention, "sliding_window") else attention.config
    return getattr(windowed, "sliding_window", None)
