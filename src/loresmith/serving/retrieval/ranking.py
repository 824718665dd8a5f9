"""The best of many scores, and several rankings made one by reciprocal rank (Cormack, Clarke and Buettcher 2009)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

K = 60
"""How much less the first ranks differ; the value of the paper."""

Item = TypeVar("Item", bound=Hashable)


def best(scores: NDArray[Any], count: int) -> NDArray[np.int64]:
    """The numbers of the highest scores, the best first; of equal ones the lower number, also at the end."""
    if 0 < count < len(scores):
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        chosen = np.flatnonzero(scores >= least)
    else:
        chosen = np.arange(len(scores))
    order = np.lexsort((chosen, -scores[chosen]))
    return chosen[order][:count]


def reciprocal_rank(rankings: Iterable[Sequence[Item]]) -> dict[Item, float]:
    """For every item the sum over the rankings that have it of 1 / (K + rank), ranks counting from 1."""
    found: dict[Item, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, 1):
            found[item] = found.get(item, 0.0) + 1 / (K + rank)
    return found
