"""Models that carry a state of their own from token to token, each request by itself.

Recurrent layers, convolutions along the row and the like remember more than keys and values. Such a model keeps its own
cache for every slot, and is asked for one request after the other: slower with many at once, and never wrong.

What transformers' own cache does not carry on, or not rightly, is read again from its first token at every step.

Legend: S segments that ask for logits, V vocabulary.
"""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from loresmith.serving.engines.embedded.layout import Layout, Segment

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class SoloNetwork:
    """A transformers model with a cache of its own for every slot.

    Args:
        remembers: whether the model is given what it remembers; otherwise it reads all of a request at every step.
        autocast: compute in half precision as `torch.autocast` does, for code that multiplies by a state in fp32.
    """

    reuses = False
    pieces = False

    def __init__(self, model: PreTrainedModel, *, remembers: bool, autocast: bool = False) -> None:
        self.path = "one by one" if remembers else "one by one, from the first token"
        self.path += ", by autocast" if autocast else ""
        self._autocast = autocast
        self._model = model
        self._names = _state_names(model) if remembers else None
        self._states: dict[int, Any] = {}
        self._ids: dict[int, list[int]] = {}

    @torch.inference_mode()
    def forward(self, layout: Layout) -> Tensor:
        logits = []
        for segment in layout.segments:
            if segment.start == 0:
                self.forget(segment.slot)
            with self._precision():
                logits_V = self._last_logits(segment)
            if segment.wants_logits:
                logits.append(logits_V)
        return torch.stack(logits) if logits else torch.empty(0)

    def copy_beginning(self, source: int, target: int, positions: int) -> None:
        raise NotImplementedError("a state cannot go back to its beginning")

    def forget(self, slot: int) -> None:
        self._states.pop(slot, None)
        self._ids.pop(slot, None)

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self._model.device.type, self._model.dtype) if self._autocast else nullcontext()

    def _last_logits(self, segment: Segment) -> Tensor:
        """(V,) after a segment."""
        ids = [*self._ids.get(segment.slot, ()), *segment.tokens]
        if self._names is None:
            self._ids[segment.slot] = ids
            output = self._model(input_ids=torch.tensor([ids], device=self._model.device), use_cache=False)
        else:
            given, returned = self._names
            state = {given: self._states[segment.slot]} if segment.slot in self._states else {}
            output = self._model(input_ids=torch.tensor([ids], device=self._model.device), use_cache=True, **state)
            self._states[segment.slot] = getattr(output, returned)
        logits_V: Tensor = output.logits[0, -1]
        return logits_V


def _state_names(model: PreTrainedModel) -> tuple[str, str]:
    """Under which name a model takes what it remembers, and under which it gives it back."""
    taken = inspect.signature(model.forward).parameters
    return next((name, name) for name in ("past_key_values", "cache_params", "state") if name in taken)
