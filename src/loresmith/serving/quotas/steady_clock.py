"""A clock that only goes forward."""

from __future__ import annotations

from collections.abc import Callable


class SteadyClock:
    """Seconds since it was made: the steps forward of another clock, without its steps back.

    When the other is set back, time goes on from there: nobody waits until it has caught up.
    """

    def __init__(self, source: Callable[[], float]) -> None:
        self._source = source
        self._seen = source()
        self._seconds = 0.0

    def __call__(self) -> float:
        """Now."""
        seen = self._source()
        self._seconds += max(0.0, seen - self._seen)
        self._seen = seen
        return self._seconds
