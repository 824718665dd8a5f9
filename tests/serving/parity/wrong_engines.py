"""Engines that compute nearly what they should."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from loresmith.serving.engines.embedded.layout import Layout, Segment
from loresmith.serving.engines.embedded.torch_engine import TorchEngine
from loresmith.serving.engines.generation import Emission, Generation


class _ShiftedLayout(Layout):
    """Single tokens of answers stand one position too far; their keys lie where they should."""

    @property
    def positions(self) -> Tensor:
        positions_N = Layout.positions.func(self)  # type: ignore[attr-defined]
        positions_N[: self.single] += 1
        return positions_N


class ShiftedPositions(TorchEngine):
    """Counts the positions of what it writes from one too many."""

    def __init__(self, directory: Path, **given: Any) -> None:
        super().__init__(directory, **given)
        forward = self._network.forward

        def shifted(layout: Layout) -> Tensor:
            segments: list[Segment] = layout.segments
            return forward(_ShiftedLayout(segments, layout.device))

        self._network.forward = shifted  # type: ignore[method-assign]


class LosesLastToken(TorchEngine):
    """Does not see the last token of prompts."""

    def add(self, generation: Generation) -> None:
        super().add(generation.model_copy(update={"prompt": generation.prompt[:-1] or generation.prompt}))


class SharedAdapter(TorchEngine):
    """Answers every request with its first adapter."""

    def add(self, generation: Generation) -> None:
        super().add(generation.model_copy(update={"adapter": self.facts.adapters[0]}))


class GoesOn(TorchEngine):
    """Does not know the tokens that end an answer."""

    def __init__(self, directory: Path, **given: Any) -> None:
        super().__init__(directory, **given)
        self._ends = ()


class Ends(TorchEngine):
    """Says after a few tokens that the model had ended."""

    def step(self) -> Sequence[Emission]:
        return [self._cut(emission) for emission in super().step()]

    def _cut(self, emission: Emission) -> Emission:
        request = self._running.get(emission.id)
        if request is None or len(request.ids) - len(request.generation.prompt) < 5:
            return emission
        self.cancel(emission.id)
        return emission.model_copy(update={"finished": "stop"})


def start(arguments: Mapping[str, Any]) -> ShiftedPositions:
    """In the place of `start_torch`."""
    return ShiftedPositions(Path(arguments["directory"]), slots=arguments["slots"], window=arguments["window"])
