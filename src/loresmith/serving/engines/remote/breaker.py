"""A circuit breaker (Nygard, Release It!, 2007): who does not answer is left alone for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Breaker:
    """Open after some failures in a row; then one trial at a time, until one succeeds. For many threads.

    Args:
        failures: so many in a row open it.
        pause: seconds between its opening and the first trial.
        clock: seconds, steadily.
    """

    def __init__(self, failures: int, pause: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures = failures
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._opened_at: float | None = None
        self._on_trial = False

    @property
    def wait(self) -> float:
        """Seconds until a trial is let through; 0 where anything is."""
        with self._lock:
            return 0.0 if self._opened_at is None else max(0.0, self._opened_at + self._pause - self._clock())

    def admit(self) -> bool:
        """Whether to try now. Who is let through says how it went: `succeeded`, `failed` or `gave_up`."""
        with self._lock:
            if self._opened_at is None:
                return True
            if self._on_trial or self._clock() - self._opened_at < self._pause:
                return False
            self._on_trial = True
            return True

    def answered(self) -> None:
        """An answer has begun: others may come, too. Whether it ends well is not known yet."""
        with self._lock:
            if self._opened_at is not None:
                self._in_a_row, self._opened_at, self._on_trial = self._failures - 1, None, False

    def succeeded(self) -> None:
        with self._lock:
            self._in_a_row, self._opened_at, self._on_trial = 0, None, False

    def failed(self) -> None:
        with self._lock:
            self._in_a_row += 1
            if self._on_trial or self._in_a_row >= self._failures:
                self._opened_at, self._on_trial = self._clock(), False

    def gave_up(self) -> None:
        """Whoever tried left before there was an outcome."""
        with self._lock:
            self._on_trial = False
