"""How long work reports to whoever started it."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """The part of a step's context that the functions of this room know."""

    @property
    def threads(self) -> int:
        """How many CPU threads may be used."""

    def progress(self, done: float, total: float | None, unit: str, /, **numbers: float) -> None:
        """Say how far the work is."""

    def log(self, message: str) -> None:
        """Say something that a person may want to read later."""

    def stop_requested(self) -> bool:
        """Whether to stop at the next safe point."""

    def stopped(self) -> None:
        """Leave (raises Interrupted)."""


def safe_point(observer: Observer, done: float, total: float | None, unit: str) -> None:
    """Report progress, and stop here if that is wanted; what was done so far is simply done again next time."""
    observer.progress(done, total, unit)
    if observer.stop_requested():
        observer.stopped()
