"""Any transformers model whose attention lets itself be replaced, over our slots.

The model's own forward function runs, with two things of ours in it: attention that stores and looks up keys and values
in the slots (`slot_attention`), and linear maps that are laid out for few rows and take adapters (`served_linear`). It
is given one row without cache or mask; windows and the like come with the call of the attention.

Legend: N tokens of a step, S segments that ask for logits, V vocabulary.
"""

from __future__ import annotations

import inspect
import itertools
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from loresmith.models.offline import transformers
from loresmith.serving.engines.embedded.layout import Layout, Segment
from loresmith.serving.engines.embedded.served_linear import ServedLinear
from loresmith.serving.engines.embedded.slot_attention import slot_attention
from loresmith.serving.engines.embedded.slot_cache import SlotCache
from loresmith.serving.engines.embedded.twist import SlotAttention, Twist

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NUMBERS = itertools.count()
_KNOWN = {"sliding_window", "softcap", "s_aux", "position_ids", "use_cache", "output_attentions", "cache_position"}
_KNOWN |= {"output_router_logits", "logits_to_keep", "past_key_values", "is_causal", "deterministic"}


class UnsuitedModelError(ValueError):
    """A model that does not do all of its looking back through the attention that is given to it."""


class GenericNetwork:
    """A transformers model over slots.

    Args:
        model: is changed: its attention and its linear maps are ours from now on.
        slots, window: see `SlotCache`.

    Raises:
        UnsuitedModelError: the model keeps to ways of its own.
    """

    path = "generic"
    reuses = True
    pieces = True

    def __init__(self, model: PreTrainedModel, slots: int, window: int) -> None:
        self._model = model
        self._cache = SlotCache(slots, window, model.dtype, model.device)
        self._step: SlotAttention | None = None
        self._layout: Layout | None = None
        self._seen: set[int] = set()
        _require_position_ids(model)
        _use_attention(model, self._attention)
        self.linears = _replace_linears(model, self)
        self._try()

    @torch.inference_mode()
    def forward(self, layout: Layout) -> Tensor:
        self._layout = layout
        self._step = slot_attention(layout, self._cache, self._model.dtype)
        output = self._model(
            input_ids=layout.token_ids[None],
            position_ids=layout.positions[None],
            use_cache=False,
            logits_to_keep=layout.asked_rows,
        )
        logits_SV: Tensor = output.logits[0]
        return logits_SV

    def copy_beginning(self, source: int, target: int, positions: int) -> None:
        self._cache.copy_beginning(source, target, positions)

    def forget(self, slot: int) -> None:
        """Nothing to do: what comes next writes over it, and sees no further than it has written."""

    def adapters_of(self, rows: int) -> dict[int, Tensor]:
        """The adapters of the step, for a map that sees so many rows: {} where it does not see every token once."""
        return self._layout.adapters if self._layout is not None and rows == self._layout.size else {}

    def _attention(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        """The interface of transformers' attention functions: (1, H, N, D) each, and (1, N, H, E) back."""
        unknown = [name for name, given in kwargs.items() if given is not None and name not in _KNOWN]
        layer = getattr(module, "layer_idx", None)
        if unknown or layer is None or self._step is None or attention_mask is not None:
            raise UnsuitedModelError(f"its attention asks for {', '.join(unknown) or 'a mask of its own'}")
        self._seen.add(layer)
        twist = Twist(
            scaling=query.shape[-1] ** -0.5 if scaling is None else scaling,
            window=kwargs.get("sliding_window"),
            softcap=kwargs.get("softcap"),
            sinks_H=kwargs.get("s_aux"),
        )
        rows = [tensor[0].transpose(0, 1) for tensor in (query, key, value)]
        return self._step.attend(layer, rows[0], rows[1], rows[2], twist)[None], None

    def _try(self) -> None:
        """Two steps with two requests: a model that goes ways of its own shows it here."""
        device = self._model.device
        try:
            for tokens in ([0, 0], [0]):
                segments = [Segment(slot, 2 - len(tokens), tokens, True) for slot in range(min(2, self._cache.slots))]
                logits_SV = self.forward(Layout(segments, device))
        except torch.OutOfMemoryError:
            raise
        except (TypeError, AttributeError, RuntimeError, LookupError, AssertionError) as error:
            raise UnsuitedModelError(str(error).partition("\n")[0]) from error
        layers = self._model.config.get_text_config(decoder=True).num_hidden_layers
        if len(self._seen) != layers or logits_SV.shape[0] != len(segments):
            raise UnsuitedModelError(f"{len(self._seen)} of its {layers} layers attend through what they are given")


def _require_position_ids(model: PreTrainedModel) -> None:
    taken = inspect.signature(model.forward).parameters
    if "position_ids" not in taken or "logits_to_keep" not in taken:
        raise UnsuitedModelError("it takes no position_ids, or gives logits for all positions only")


def _use_attention(model: PreTrainedModel, attention: Any) -> None:
    """Register an attention of this model's own, and no masks for it."""
    name = f"loresmith_slots_{next(_NUMBERS)}"
    method = weakref.WeakMethod(attention)  # transformers would keep it for good, and the model with it

    def attend(*args: Any, **kwargs: Any) -> Any:
        own = method()
        assert own is not None
        return own(*args, **kwargs)

    transformers.AttentionInterface.register(name, attend)
    transformers.AttentionMaskInterface.register(name, _no_mask)
    try:
        model.set_attn_implementation(name)
    except (ValueError, KeyError) as error:
        raise UnsuitedModelError(str(error).partition("\n")[0]) from error


def _no_mask(*_args: Any, **_kwargs: Any) -> None:
    """What a token sees is told by its slot."""


class _Served:
    """The forward function of a linear module, in the row of a step."""

    def __init__(self, linear: ServedLinear, network: GenericNetwork) -> None:
        self._linear = linear
        self._network = network

    def __call__(self, x: Tensor) -> Tensor:
        x_NI = x.reshape(-1, x.shape[-1])
        y_NO = self._linear(x_NI, self._network.adapters_of(len(x_NI)))
        return y_NO.view(*x.shape[:-1], y_NO.shape[-1])


def _replace_linears(model: PreTrainedModel, network: GenericNetwork) -> dict[str, tuple[ServedLinear, int]]:
    """Our maps in place of the model's.

    Returns:
        By the name of a module, our map and which of its parts the module is.
    """
    shared = {id(parameter) for parameter in _embeddings(model)}
    linears: dict[str, tuple[ServedLinear, int]] = {}
    for name, module in model.named_modules():
        if type(module) is not nn.Linear:
            continue
        linear = ServedLinear([module])
        module.forward = _Served(linear, network)  # type: ignore[assignment,method-assign]
        linears[name] = (linear, 0)
        if id(module.weight) not in shared:
            module.weight = nn.Parameter(module.weight.new_empty(0), requires_grad=False)  # the laid out one stays
    return linears


def _embeddings(model: PreTrainedModel) -> list[nn.Parameter]:
    return [
        parameter for module in model.modules() if isinstance(module, nn.Embedding) for parameter in module.parameters()
    ]
