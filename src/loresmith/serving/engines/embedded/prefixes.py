"""Which slot a new request gets, and how much of its prompt is there already.

What was computed for one request's prompt is of use to the next that begins with the same tokens. It is given only to
requests of the same scope and adapter: how fast an answer begins would otherwise tell one caller what another has
asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FEWEST = 16
"""A shorter common beginning is computed again: it costs less than it saves."""


@dataclass
class Slot:
    """What lies in one slot.

    Attributes:
        ids: the tokens whose keys and values are there.
        scope, adapter: whose they are; an empty scope is nobody's.
        busy: whether a request is at work in it.
        used: when it was last given away, as a count.
    """

    number: int
    ids: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    scope: str = ""
    adapter: str | None = None
    busy: bool = False
    used: int = 0


@dataclass(frozen=True)
class Place:
    """Where a request goes.

    Attributes:
        slot: its slot.
        source: the slot from which its beginning is copied; None where that lies in its own, or nowhere.
        cached: tokens of its prompt that need not be computed.
    """

    slot: int
    source: int | None
    cached: int


class Slots:
    """All slots of a network.

    Args:
        reuses: whether what lies in a slot can be used again.
    """

    def __init__(self, count: int, *, reuses: bool) -> None:
        self._slots = [Slot(number) for number in range(count)]
        self._reuses = reuses
        self._clock = 0

    @property
    def free(self) -> int:
        return sum(not slot.busy for slot in self._slots)

    def take(self, prompt: Sequence[int], scope: str, adapter: str | None) -> Place:
        """Give a free slot to a request. At least the last token of its prompt is left to compute."""
        ids = np.asarray(prompt, np.int64)
        found, cached = self._longest(ids, scope, adapter) if self._reuses and scope else (None, 0)
        if found is not None and not found.busy:
            chosen, source = found, None
        else:
            chosen = min((slot for slot in self._slots if not slot.busy), key=_worth)
            source = None if found is None else found.number
        self._clock += 1
        chosen.ids, chosen.scope, chosen.adapter = ids[:cached], scope, adapter
        chosen.busy, chosen.used = True, self._clock
        return Place(chosen.number, source, cached)

    def remember(self, number: int, ids: Sequence[int]) -> None:
        """Note that these tokens lie in a busy slot by now."""
        self._slots[number].ids = np.asarray(ids, np.int64)

    def give_back(self, number: int) -> None:
        """A request is over; what lies there can be used again, within its scope."""
        slot = self._slots[number]
        slot.busy = False
        if not slot.scope or not self._reuses:
            slot.ids = slot.ids[:0]
            slot.scope = ""

    def _longest(self, ids: NDArray[np.int64], scope: str, adapter: str | None) -> tuple[Slot | None, int]:
        """The slot that shares the longest beginning, a free one before a busy one, and its length."""
        best: Slot | None = None
        longest = 0
        for slot in self._of(scope, adapter):
            common = min(_common(slot.ids, ids), len(ids) - 1)
            better = common > longest or (common == longest and best is not None and best.busy and not slot.busy)
            if common >= FEWEST and better:
                best, longest = slot, common
        return best, longest

    def _of(self, scope: str, adapter: str | None) -> Iterable[Slot]:
        return (slot for slot in self._slots if slot.scope == scope and slot.adapter == adapter)


def _worth(slot: Slot) -> tuple[bool, int, int]:
    """By what is lost with a slot, the least first; where nothing is, low numbers keep neighbours together."""
    return (True, slot.used, slot.number) if slot.scope else (False, 0, slot.number)


def _common(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """How many tokens two sequences begin with together."""
    size = min(len(one), len(other))
    differs = np.flatnonzero(one[:size] != other[:size])
    return int(differs[0]) if len(differs) else size
