"""Which documents of a source are drawn, how often, and where in the corpus each stands.

A source is drawn epoch by epoch: all its documents once, then all of them again, until it has what it should; of the
last epoch a sample. Each epoch has an order of its own, or goes from low values to high ones. The stages of a corpus
follow one another; in each, a source has the next part of what is drawn of it, and the sources are interleaved evenly,
so that their shares hold at every point and not only on the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loresmith.data.mixing import mix

_GOLDEN = 0x9E3779B97F4A7C15
"""2**64 by the golden ratio, which SplitMix64 counts by: multiples of it lie far apart."""


@dataclass(frozen=True)
class Draws:
    """Documents that are drawn, a row for each time.

    Attributes:
        documents: int64, their numbers.
        repeats: int32, how often each was drawn before.
        stages: int32.
        places: float64, where in the stage each stands, from 0 to 1.
    """

    documents: NDArray[np.int64]
    repeats: NDArray[np.int32]
    stages: NDArray[np.int32]
    places: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.documents)

    @classmethod
    def together(cls, draws: Sequence[Draws]) -> Draws:
        """Of several sources, in the order of the corpus."""
        parts = [
            np.concatenate([getattr(each, name) for each in draws])
            for name in ("documents", "repeats", "stages", "places")
        ]
        order = np.lexsort((parts[0], parts[3], parts[2]))
        return cls(*(part[order] for part in parts))


def draw(
    documents: NDArray[np.int64],
    sizes: NDArray[np.int64],
    keys: NDArray[np.uint64],
    wanted: Sequence[float],
    values: NDArray[np.float64] | None = None,
) -> Draws:
    """Draw documents of one source.

    A document is drawn whole; so what is drawn of a stage is what was wanted to within half of one at either end.

    Args:
        documents: their numbers.
        sizes: bytes of each, more than 0.
        keys: a random number for each, which decides the sample and the orders.
        wanted: bytes for each stage.
        values: each epoch ascends by them, what has none (NaN) at its end; None: the order is random.
    """
    total, available = sum(wanted), int(sizes.sum())
    found: list[NDArray[np.int64]] = []
    repeats: list[NDArray[np.int32]] = []
    epoch = 0
    while total - epoch * available > 0:
        order = _order(keys, epoch, values)
        rest = total - epoch * available
        if rest < available:
            sampled = np.argsort(keys, kind="stable")
            chosen = np.zeros(len(sizes), dtype=bool)
            chosen[sampled[_middles(sizes[sampled]) < rest]] = True
            order = order[chosen[order]]
        found.append(order)
        repeats.append(np.full(len(order), epoch, dtype=np.int32))
        epoch += 1
    sequence = np.concatenate([np.empty(0, dtype=np.int64), *found])
    drawn = sizes[sequence]
    middles = _middles(drawn)
    # What was drawn differs a little from what was wanted; the stages have it in their proportions.
    ends = np.cumsum(wanted) * (drawn.sum() / total if total else 1.0)
    stages = np.minimum(np.searchsorted(ends, middles, side="right"), len(wanted) - 1)
    begins = np.concatenate([[0.0], ends])
    lengths = np.maximum(np.diff(begins), 1e-9)
    places = (middles - begins[stages]) / lengths[stages]
    return Draws(
        documents[sequence],
        np.concatenate([np.empty(0, dtype=np.int32), *repeats]),
        stages.astype(np.int32),
        places,
    )


def keys_of(ids: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Random numbers that follow from the documents' ids and a seed alone."""
    return mix(mix(ids) ^ mix(np.array([seed], dtype=np.uint64) + np.uint64(_GOLDEN)))


def _order(keys: NDArray[np.uint64], epoch: int, values: NDArray[np.float64] | None) -> NDArray[np.int64]:
    shuffled = mix(keys + np.uint64((epoch + 1) * _GOLDEN % 2**64))
    return np.argsort(shuffled, kind="stable") if values is None else np.lexsort((shuffled, values))


def _middles(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many bytes come before the middle of each."""
    ends = np.cumsum(sizes)
    return ends - sizes / 2
