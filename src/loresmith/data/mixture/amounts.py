"""How many bytes of each source are drawn: by weights, and never more often than a source may be repeated.

Where a source has less than its weight asks for, all of it is taken, as often as is allowed, and the others share the
rest by their weights (the idea of UniMax: Chung et al., "UniMax: Fairer and more effective language sampling for
large-scale multilingual pretraining", 2023).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loresmith.errors import UserError


@dataclass(frozen=True)
class Supply:
    """What a source has.

    Attributes:
        bytes: of text, in the train split.
        epochs_cap: how often it may be drawn at most; 2.5 is twice, and half of it a third time.
    """

    bytes: int
    epochs_cap: float

    @property
    def most(self) -> float:
        """Bytes that can be drawn."""
        return self.bytes * self.epochs_cap


@dataclass(frozen=True)
class Stage:
    """A part of the corpus with weights of its own.

    Attributes:
        share: of the corpus, from 0 to 1; those of all stages add up to 1.
        weights: by source; what is not named, or has 0, is not drawn in this stage.
    """

    share: float
    weights: Mapping[str, float]


def amounts(supplies: Mapping[str, Supply], stages: Sequence[Stage], target: float | None) -> list[dict[str, float]]:
    """The bytes of each source in each stage.

    Args:
        target: bytes in all; None: as many as there can be while every source has its share in every stage.

    Raises:
        UserError: a source that has a weight is empty.
    """
    for name, supply in supplies.items():
        if not supply.bytes and any(stage.weights.get(name, 0) for stage in stages):
            raise UserError(
                f"the source {name!r} has no document to train on",
                hint="change its `where`, give it the weight 0, or leave it out",
            )
    wanted = {name: sum(stage.share * _share(name, stage.weights) for stage in stages) for name in supplies}
    if target is None:
        target = min(supplies[name].most / share for name, share in wanted.items() if share > 0)
    left = {name: supply.most for name, supply in supplies.items()}
    found = []
    for stage in stages:
        drawn = _shared_out(target * stage.share, stage.weights, left)
        left = {name: rest - drawn[name] for name, rest in left.items()}
        found.append(drawn)
    return found


def _share(name: str, weights: Mapping[str, float]) -> float:
    return weights.get(name, 0.0) / sum(weights.values())


def _shared_out(target: float, weights: Mapping[str, float], left: Mapping[str, float]) -> dict[str, float]:
    """Share out an amount by weights, nobody getting more than what it has left."""
    drawn = dict.fromkeys(left, 0.0)
    waiting = {name: weight for name, weight in weights.items() if weight > 0}
    while waiting:
        total = sum(waiting.values())
        rest = target - sum(drawn.values())
        short = [name for name, weight in waiting.items() if rest * weight / total >= left[name]]
        for name in short or waiting:
            drawn[name] = min(left[name], rest * waiting[name] / total)
        waiting = {name: weight for name, weight in waiting.items() if short and name not in short}
    return drawn
