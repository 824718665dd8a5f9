"""Ctrl-C and SIGTERM as a request that a run looks at between its steps and while it waits."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from loresmith.errors import Interrupted


class StopRequest:
    """Set once by a signal; the run leaves at its next safe point."""

    def __init__(self, go_on: str) -> None:
        self._event = threading.Event()
        self._go_on = go_on

    def set(self) -> None:
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise Interrupted if a stop was asked for."""
        if self:
            raise Interrupted(
                "stopped at a safe point; what was finished is kept",
                hint=self._go_on,
            )


@contextmanager
def stop_on_signals(go_on: str) -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a StopRequest for as long as the block lasts (in the main thread only).

    Args:
        go_on: what a person who stopped it is told to do.
    """
    request = StopRequest(go_on)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(_number: int, _frame: FrameType | None) -> None:
        request.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
