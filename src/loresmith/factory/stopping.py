"""Ctrl-C and SIGTERM as a request that a run looks at between its steps and while it waits.

A request is patient: a step is given time to reach a safe point, and keeps all of its work. A person who does not want
to wait presses Ctrl-C again; a job scheduler says with its SIGTERM how long there is.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from loresmith.errors import Interrupted

SECONDS_AFTER_CTRL_C = 30.0
"""What a step has to reach a safe point after the first Ctrl-C: most do within a second, and one that hangs never."""

ONE_PRESS_SECONDS = 0.5
"""Ctrl-C twice within this is one: it may come from the terminal and, again, from a program that passes it on."""


class StopRequest:
    """Set by a signal; the run leaves at its next safe point, or when the time for that is up.

    Attributes:
        go_on: what a person who stopped it is told to do.
        seconds: what a step was given to reach a safe point; 0 while nothing was asked for.
        insisted: whether it is to stop without one.
    """

    def __init__(self, go_on: str) -> None:
        self.go_on = go_on
        self.seconds = 0.0
        self.insisted = False
        self._asked_at = math.inf

    def ask(self, seconds: float = SECONDS_AFTER_CTRL_C) -> None:
        """Ask for a stop within so many seconds. Only the first time counts."""
        if not self:
            self.seconds = seconds
            self._asked_at = time.monotonic()

    def press(self) -> None:
        """Ctrl-C: ask for a stop, or insist on the one that was asked for."""
        if self and time.monotonic() - self._asked_at > ONE_PRESS_SECONDS:
            self.insisted = True
        self.ask()

    def __bool__(self) -> bool:
        return self._asked_at < math.inf

    @property
    def is_over(self) -> bool:
        """Whether there is no more waiting for a safe point."""
        return self.insisted or time.monotonic() - self._asked_at >= self.seconds

    def check(self) -> None:
        """Raise Interrupted if a stop was asked for: where this is called is a safe point."""
        if self:
            raise Interrupted("stopped at a safe point; what was finished is kept", hint=self.go_on)


@contextmanager
def stop_on_signals(go_on: str, seconds_after_sigterm: float) -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a StopRequest for as long as the block lasts (in the main thread only).

    Args:
        go_on: what a person who stopped it is told to do.
        seconds_after_sigterm: what a step has to reach a safe point after SIGTERM.
    """
    request = StopRequest(go_on)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            request.press()
        else:
            request.ask(seconds_after_sigterm)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
