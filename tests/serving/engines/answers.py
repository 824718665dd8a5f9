"""What an engine says to some requests, gathered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from loresmith.serving.engines.engine import Engine
from loresmith.serving.engines.generation import Chosen, Generation


@dataclass
class Gathered:
    tokens: list[Chosen] = field(default_factory=list)
    text: str = ""
    finished: str | None = None
    stopped_by: str | None = None
    cached: int = 0
    steps: int = 0

    @property
    def ids(self) -> list[int]:
        return [token.id for token in self.tokens]


def answers(engine: Engine, generations: Sequence[Generation], every: int = 0) -> dict[str, Gathered]:
    """Run requests to their ends.

    Args:
        every: steps between one request and the next; 0 adds all at once.
    """
    line = list(generations)
    gathered = {generation.id: Gathered() for generation in line}
    step = 0
    while line or engine.waiting or engine.running:
        while line and (every == 0 or step % every == 0):
            engine.add(line.pop(0))
            if every:
                break
        for emission in engine.step():
            answer = gathered[emission.id]
            answer.tokens += emission.tokens
            answer.text += emission.text
            answer.finished = emission.finished
            answer.stopped_by = emission.stopped_by
            answer.cached += emission.cached_tokens
            answer.steps += 1
        step += 1
    return gathered
