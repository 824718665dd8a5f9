"""How the steps of this room stop."""

from __future__ import annotations

from collections.abc import Callable

from loresmith.factory.step import StepContext


def stopper(context: StepContext) -> Callable[[], None]:
    """A function that leaves the step when a stop was asked for."""

    def look() -> None:
        if context.stop_requested():
            context.stopped()

    return look
