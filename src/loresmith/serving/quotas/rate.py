"""A rate with a burst: the generic cell rate algorithm, as virtual scheduling (ITU-T I.371, annex A).

All is counted in seconds: what costs `n` of `r` per minute costs `60 n / r` seconds, and a burst of `b` is worth
`60 b / r`. The backlog is how far ahead of time the takers are; it may not exceed the burst. So in no window of `w`
seconds more is taken than a burst and what `w` seconds bring.

What is set aside and then not used is given back, but only as much of it as has not come back by itself: of a burst
that was set aside and is full again after a minute, nothing is left to give back. Otherwise long requests that use
little could together take several bursts at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

_ROUNDING = 1e-9
"""Seconds by which sums may be off: whoever waits as long as was said must not be told to wait again."""


class Rate:
    """What one taker has taken. Bursts and costs are given anew each time, since limits change while it lives."""

    def __init__(self) -> None:
        self._taken_until = 0.0
        self._set_aside: dict[int, tuple[float, float]] = {}
        self._numbers = itertools.count()

    @property
    def set_aside(self) -> Mapping[int, tuple[float, float]]:
        """By number, what was set aside and is not settled, and how much of it could be given back now."""
        return self._set_aside

    def wait(self, now: float, cost: float, burst: float) -> float | None:
        """Seconds until this much may be taken: 0.0 for now, None for never."""
        if cost > burst + _ROUNDING:
            return None
        excess = self._backlog(now) + cost - burst
        return excess if excess > _ROUNDING else 0.0

    def take(self, now: float, cost: float) -> None:
        """Take; ask `wait` first."""
        self._shrink(self._backlog(now))
        self._taken_until = max(now, self._taken_until) + cost

    def reserve(self, now: float, cost: float) -> int:
        """Take, until `settle` says how much it was; returns a number to settle it by."""
        self.take(now, cost)
        number = next(self._numbers)
        self._set_aside[number] = (cost, cost)
        return number

    def settle(self, now: float, number: int, used: float) -> None:
        """Give back what was not used, or take what was used beyond; `used` in seconds, too."""
        cost, returnable = self._set_aside.pop(number)
        if used <= cost:
            self._taken_until -= min(cost - used, returnable)
        else:
            self.take(now, used - cost)

    def idle(self, now: float) -> bool:
        """Whether it is as good as new."""
        return not self._set_aside and self._taken_until <= now

    def _backlog(self, now: float) -> float:
        return max(0.0, self._taken_until - now)

    def _shrink(self, backlog: float) -> None:
        """No more can be given back than is still owed; what was set aside first has come back first."""
        excess = sum(returnable for _, returnable in self._set_aside.values()) - backlog
        for number, (cost, returnable) in self._set_aside.items():
            if excess <= 0:
                return
            gone = min(excess, returnable)
            self._set_aside[number] = (cost, returnable - gone)
            excess -= gone
