"""How far a number measured on a sample may be from the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

FEWEST_DOCUMENTS = 10
"""Below this many documents a bootstrap says nothing that can be relied on, and none is given."""

DRAWS_AT_ONCE = 2**22
"""Indices drawn at once: 32 MiB."""

Z_95 = 1.959963984540054
"""The standard normal distribution's 97.5th percentile."""


class Interval(BaseModel):
    """An interval for a number, at 95 % confidence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float = Field(description="Lower end.")
    high: float = Field(description="Upper end.")


def ratio_interval(
    numerators: ArrayLike, denominators: ArrayLike, resamples: int, seed: int | Sequence[int]
) -> Interval | None:
    """The 95 % bootstrap percentile interval of sum(numerators) / sum(denominators) over documents.

    Documents are drawn with replacement, whole, because what a model does on one line of a file says much about the
    next line and little about the next file (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).

    Args:
        numerators, denominators: one of each a document, in the same order; denominators are not negative.
        resamples: how many samples are drawn.
        seed: the same seed, the same interval.

    Returns:
        None where there are fewer than `FEWEST_DOCUMENTS` documents, or nothing to divide by.
    """
    pairs = np.stack([np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)], axis=1)
    count = len(pairs)
    if count < FEWEST_DOCUMENTS or not pairs[:, 1].sum() > 0:
        return None
    draw = np.random.default_rng(seed)
    ratios: list[np.ndarray] = []
    at_once = max(1, DRAWS_AT_ONCE // count)
    for done in range(0, resamples, at_once):
        chosen = draw.integers(0, count, size=(min(at_once, resamples - done), count))
        sums = pairs[chosen].sum(axis=1)
        ratios.append(sums[sums[:, 1] > 0, 0] / sums[sums[:, 1] > 0, 1])
    low, high = np.quantile(np.concatenate(ratios), [0.025, 0.975])
    return Interval(low=float(low), high=float(high))


def proportion_interval(successes: int, trials: int) -> Interval | None:
    """Wilson's 95 % score interval for a share of independent trials (JASA 22, 1927); None for no trials."""
    if not trials:
        return None
    share = successes / trials
    centre = share + Z_95**2 / (2 * trials)
    spread = Z_95 * math.sqrt(share * (1 - share) / trials + Z_95**2 / (4 * trials**2))
    scale = 1 + Z_95**2 / trials
    return Interval(low=max(0.0, (centre - spread) / scale), high=min(1.0, (centre + spread) / scale))
