"""What a mixture is made by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loresmith.data.mixture.amounts import Stage


@dataclass(frozen=True)
class SourceRule:
    """A source.

    Attributes:
        name: in the corpus and in messages.
        corpus: the number of the corpus that its documents are in.
        where: a condition on them; empty: those of the corpus that no other source's condition takes.
        epochs_cap: how often it may be drawn.
    """

    name: str
    corpus: int
    where: str
    epochs_cap: float


@dataclass(frozen=True)
class MixtureRules:
    """A mixture.

    Attributes:
        corpora: what messages call each corpus.
        sources: at least one.
        stages: what the corpus is made of, in this order.
        target_bytes: bytes of text to train on; None: as many as shares and caps allow.
        by: the column by which each source ascends; empty: in no order.
        descending: whether it descends instead.
        similarity: from here on documents of different corpora are near-identical.
        seed: decides which documents are drawn, and in which order.
    """

    corpora: Sequence[str]
    sources: Sequence[SourceRule]
    stages: Sequence[Stage]
    target_bytes: int | None
    by: str
    descending: bool
    similarity: float
    seed: int

    @property
    def weights(self) -> Mapping[str, float]:
        """The share of each source that is wanted of the whole."""
        wanted = {source.name: 0.0 for source in self.sources}
        for stage in self.stages:
            total = sum(stage.weights.values())
            for name, weight in stage.weights.items():
                wanted[name] += stage.share * weight / total
        return wanted
