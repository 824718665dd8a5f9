"""What a language model of any kind needs for a document, and bits per byte over documents.

bits per byte = sum of nats / (ln 2 * sum of UTF-8 bytes)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loresmith.evaluation.intervals import Interval, ratio_interval


@dataclass(frozen=True)
class DocumentScore:
    """What a model needs for one document: `nats` for its `tokens` predictions, which stand for `bytes` bytes."""

    key: str
    group: str
    bytes: int
    tokens: int
    nats: float


def bits_per_byte(scores: Iterable[DocumentScore]) -> float:
    """The ratio of sums over documents; NaN where there is not a single byte."""
    nats, size = 0.0, 0
    for score in scores:
        nats += score.nats
        size += score.bytes
    return nats / (math.log(2) * size) if size else math.nan


def bits_per_byte_interval(scores: Sequence[DocumentScore], resamples: int, seed: int) -> Interval | None:
    """The 95 % bootstrap interval of `bits_per_byte` over documents; see `ratio_interval`."""
    bits = [score.nats / math.log(2) for score in scores]
    return ratio_interval(bits, [score.bytes for score in scores], resamples, seed)
