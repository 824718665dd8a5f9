"""When to try again what could not be loaded: what is new at once, and the same after pauses that grow."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

AGAIN_SECONDS = 10.0
LONGEST_SECONDS = 300.0
"""Each attempt may load a whole model before it fails, beside answers that want the same processors."""


@dataclass(frozen=True)
class _Failed:
    what: str
    pause: float
    again: float


class TryingAgain:
    """What could not be loaded last, by name.

    Args:
        clock: seconds from anywhere.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, _Failed] = {}

    def failed(self, name: str, what: str) -> bool:
        """Whether this is what could not be loaded last."""
        return name in self._failed and self._failed[name].what == what

    def waits(self, name: str, what: str) -> bool:
        """Whether it is to be left alone for now."""
        return self.failed(name, what) and self._clock() < self._failed[name].again

    def note(self, name: str, what: str, *, costly: bool = True) -> None:
        """It could not be loaded.

        Args:
            costly: to find that out took more than a look; then it is done ever more rarely.
        """
        pause = AGAIN_SECONDS
        if costly and self.failed(name, what):
            pause = min(2 * self._failed[name].pause, LONGEST_SECONDS)
        self._failed[name] = _Failed(what, pause, self._clock() + pause)

    def forget(self, name: str) -> None:
        self._failed.pop(name, None)

    def keep_only(self, names: Collection[str]) -> None:
        """Forget all others."""
        self._failed = {name: failed for name, failed in self._failed.items() if name in names}
