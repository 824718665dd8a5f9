"""An engine that answers at once, so that what a gateway costs can be seen alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from loresmith.serving.engines.generation import Chosen, Emission, EngineFacts, Generation

TEXT = " The oil filter is behind the left panel, under the cover with the two screws."


class InstantEngine:
    """Answers every request with the same text in one step."""

    def __init__(self) -> None:
        self.facts = EngineFacts(
            engine="torch", precision="bf16", window=4096, slots=1024, vocabulary_size=50_000, path="instant"
        )
        self._asked: deque[Generation] = deque()

    @property
    def waiting(self) -> int:
        return len(self._asked)

    @property
    def running(self) -> int:
        return 0

    def add(self, generation: Generation) -> None:
        self._asked.append(generation)

    def step(self) -> Sequence[Emission]:
        tokens = (Chosen(id=1),) * 16
        answered = [Emission(id=one.id, tokens=tokens, text=TEXT, finished="stop") for one in self._asked]
        self._asked.clear()
        return answered

    def cancel(self, id: str) -> None:
        self._asked = deque(one for one in self._asked if one.id != id)

    def close(self) -> None:
        self._asked.clear()


def start(_arguments: Mapping[str, Any]) -> InstantEngine:
    """As engines' processes are told to start it."""
    return InstantEngine()
