"""Which tokens one step puts through the model, and where each belongs.

All tokens of a step lie end to end in one row: first those of requests that write, one each, then pieces of prompts.
What is computed for a token does not depend on its neighbours in the row, so neither do the answers.

Legend: N tokens of the step, S segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Segment:
    """Neighbouring tokens of one request.

    Attributes:
        slot: where its keys and values lie.
        start: the position of the first; so many are in the slot already.
        tokens: their ids.
        wants_logits: whether the next token is to be chosen after the last.
        adapter: number of the adapter, from 1; 0 is the model as it is.
    """

    slot: int
    start: int
    tokens: Sequence[int]
    wants_logits: bool
    adapter: int = 0

    @property
    def end(self) -> int:
        return self.start + len(self.tokens)


class Layout:
    """The segments of one step: those of one token first, in the order of their slots.

    Attributes:
        single: how many segments of one token lead the row.
        offsets: where in the row each segment begins.
    """

    def __init__(self, segments: Sequence[Segment], device: torch.device) -> None:
        self.segments = sorted(segments, key=lambda one: (True, 0) if len(one.tokens) > 1 else (False, one.slot))
        self.device = device
        self.single = sum(len(segment.tokens) == 1 for segment in self.segments)
        self.offsets: list[int] = []
        place = 0
        for segment in self.segments:
            self.offsets.append(place)
            place += len(segment.tokens)
        self.size = place

    @cached_property
    def token_ids(self) -> Tensor:
        """Int64 (N,)."""
        return self._numbers([id_ for segment in self.segments for id_ in segment.tokens])

    @cached_property
    def positions(self) -> Tensor:
        """Int64 (N,): of each token in its request."""
        return self._numbers([at for segment in self.segments for at in range(segment.start, segment.end)])

    @cached_property
    def slots(self) -> Tensor:
        """Int64 (N,): of each token."""
        return self._numbers([segment.slot for segment in self.segments for _ in segment.tokens])

    @cached_property
    def asked(self) -> list[Segment]:
        """The segments after which a token is to be chosen, in the order of the logits."""
        return [segment for segment in self.segments if segment.wants_logits]

    @cached_property
    def asked_rows(self) -> Tensor:
        """Int64 (S,): where in the row the last tokens of those lie."""
        ends = zip(self.segments, self.offsets, strict=True)
        return self._numbers([at + len(segment.tokens) - 1 for segment, at in ends if segment.wants_logits])

    @cached_property
    def adapters(self) -> dict[int, Tensor]:
        """For each adapter of the step, the places in the row of its tokens."""
        places: dict[int, list[int]] = {}
        for segment, at in zip(self.segments, self.offsets, strict=True):
            if segment.adapter:
                places.setdefault(segment.adapter, []).extend(range(at, at + len(segment.tokens)))
        return {number: self._numbers(rows) for number, rows in sorted(places.items())}

    def _numbers(self, values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self.device)
