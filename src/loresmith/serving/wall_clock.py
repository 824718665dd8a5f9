"""The time of day for what ends at some time: a clock that is set back brings nothing back to life."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime


def elapsed() -> float:
    """Seconds that pass, whatever anybody sets; those too in which the machine is suspended, where the system counts
    them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class WallClock:
    """Now, in UTC: what the machine's clock says, or the time at which this was made and the seconds since, whichever
    is later.

    Set back, the clock changes nothing here. Set forward, it is followed, so that things end too early rather than too
    late, and no longer than until it is right again.

    Args:
        wall: the machine's clock, in seconds since 1970.
        elapsed: as the function.
    """

    def __init__(self, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] = elapsed) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._ahead = wall() - elapsed()

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(max(self._wall(), self._ahead + self._elapsed()), UTC)
