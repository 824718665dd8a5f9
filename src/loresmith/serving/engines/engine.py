"""The protocol of engines.

An engine is driven by one thread: `add` and `cancel` change what it works on, and `step` carries all of it a little
further. What a request wrote comes out of `step`, so that the caller decides where streams go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from loresmith.serving.engines.generation import Emission, EngineFacts, Generation


class Engine(Protocol):
    """What serves one model.

    One that depends on somebody else has a property `trouble`, too: what is amiss with that, or "".
    """

    @property
    def facts(self) -> EngineFacts:
        """What there is to know of it."""

    @property
    def waiting(self) -> int:
        """Requests that have no slot yet."""

    @property
    def running(self) -> int:
        """Requests that have one."""

    def add(self, generation: Generation) -> None:
        """Take on a request. It waits until a slot is free.

        Raises:
            UserError: it can never be carried out (too long for the window, an unknown adapter, a bad schema).
        """

    def step(self) -> Sequence[Emission]:
        """Carry all requests a little further, by a token each as a rule; [] where there is nothing to do."""

    def cancel(self, id: str) -> None:
        """Forget a request; its slot is free for the next step. Nothing more is said of it."""

    def close(self) -> None:
        """Let go of the model."""
