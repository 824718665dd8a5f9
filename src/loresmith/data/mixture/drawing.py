"""Which documents of a source are drawn, how often, and where in the corpus each stands.

A source is drawn epoch by epoch: all its documents once, then all of them again, until it has what it should; of the
last epoch a sample. Each epoch has an order of its own, or goes from low values to high ones. The stages of a corpus
follow one another; in each, a source has the next part of what is drawn of it, and the sources are interleaved evenly,
so that their shares hold at every point and not only on the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from loresmith.data.engine.rows import Rows
from loresmith.data.engine.sorting import Sorting
from loresmith.data.mixing import mix

DRAWABLE = np.dtype(
    [("key", np.uint64), ("chance", np.uint64), ("value", np.float64), ("size", np.int64), ("document", np.uint32)]
)
"""A document that may be drawn: its number, bytes of text, the value that each epoch ascends by, and a random number
that decides of the sample and the orders. `key` is what it is sorted by at the moment."""

DRAWN = np.dtype(
    [
        ("key", np.uint64),
        ("place", np.float64),
        ("size", np.int64),
        ("document", np.uint32),
        ("repeat", np.int32),
        ("stage", np.int16),
        ("source", np.int16),
    ]
)
"""A document for each time that it is drawn: how often it was drawn before, its stage, and where in the stage it
stands, from 0 to 1."""

_GOLDEN = 0x9E3779B97F4A7C15
"""2**64 by the golden ratio, which SplitMix64 counts by: multiples of it lie far apart."""

Documents = Callable[[], Iterable[Rows]]
"""Gives `DRAWABLE` in the order of the documents, as often as it is called."""


def draw(documents: Documents, wanted: Sequence[float], sorting: Sorting, by_value: bool = False) -> Iterator[Rows]:
    """Draw documents of one source, as `DRAWN` in the order in which they are drawn.

    A document is drawn whole; so what is drawn of a stage is what was wanted to within half of one at either end.

    Args:
        wanted: bytes for each stage.
        by_value: whether each epoch ascends by the values, what has none (NaN) at its end; or its order is random.
    """
    total, available = sum(wanted), sum(int(rows["size"].sum()) for rows in documents())
    epochs = 0
    while total - epochs * available >= available > 0:
        epochs += 1
    rest = total - epochs * available
    last, sampled = _sample(documents, rest, sorting) if rest > 0 and available else (None, 0)
    drawn = epochs * available + sampled
    # What was drawn differs a little from what was wanted; the stages have it in their proportions.
    ends = np.cumsum(wanted) * (drawn / total if total else 1.0)
    begins = np.concatenate([[0.0], ends])
    lengths = np.maximum(np.diff(begins), 1e-9)
    before = 0
    for epoch in range(epochs + (last is not None)):
        for rows in _in_order(documents, epoch, by_value, sorting):
            if epoch == epochs:
                rows = rows[rows["chance"] <= np.uint64(last or 0)]
            middles = before + _middles(rows["size"])
            before += int(rows["size"].sum())
            found = np.zeros(len(rows), dtype=DRAWN)
            for name in ("document", "size"):
                found[name] = rows[name]
            found["repeat"] = epoch
            stages = np.minimum(np.searchsorted(ends, middles, side="right"), len(wanted) - 1)
            found["stage"] = stages
            found["place"] = (middles - begins[stages]) / lengths[stages]
            yield found


def interleaved(drawn: Documents, stages: int, sorting: Sorting) -> Iterator[Rows]:
    """What was drawn of several sources (`DRAWN`), in the order of the corpus."""

    def of_stage(stage: int) -> Iterator[Rows]:
        for rows in drawn():
            rows = rows[rows["stage"] == stage]
            # In fixed point, which deals them out more evenly than the bits of a floating-point number.
            rows["key"] = (np.clip(rows["place"], 0.0, 1.0) * 2.0**63).astype(np.uint64)
            yield rows

    for stage in range(stages):
        for rows in sorting.by_key(of_stage(stage), DRAWN):
            yield rows[np.lexsort((rows["document"], rows["place"]))]


def chances(ids: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Random numbers that follow from the documents' ids and a seed alone."""
    return mix(mix(ids) ^ mix(np.array([seed], dtype=np.uint64) + np.uint64(_GOLDEN)))


def _sample(documents: Documents, wanted: float, sorting: Sorting) -> tuple[int | None, int]:
    """The highest chance of a sample, and how many bytes are in it; None: not one document is."""

    def keyed() -> Iterator[Rows]:
        for rows in documents():
            rows["key"] = rows["chance"]
            yield rows

    highest, size = None, 0
    for rows in sorting.by_key(keyed(), DRAWABLE):
        chosen = size + _middles(rows["size"]) < wanted
        if chosen.any():
            highest = int(rows["key"][chosen][-1])
            size += int(rows["size"][chosen].sum())
        if not chosen.all():
            break
    return highest, size


def _in_order(documents: Documents, epoch: int, by_value: bool, sorting: Sorting) -> Iterator[Rows]:
    def shuffled() -> Iterator[Rows]:
        for rows in documents():
            rows["key"] = mix(rows["chance"] + np.uint64((epoch + 1) * _GOLDEN % 2**64))
            yield rows

    def valued() -> Iterator[Rows]:
        for rows in sorting.by_key(shuffled(), DRAWABLE):
            rows["key"] = _ascending(rows["value"])
            yield rows

    return sorting.by_key(valued() if by_value else shuffled(), DRAWABLE)


def _ascending(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Whole numbers in the order of the values; the highest of all for what is none (NaN)."""
    bits = (values + 0.0).view(np.uint64)  # of the two zeros, one is left
    negative = bits >> np.uint64(63) == 1
    found = np.where(negative, ~bits, bits | np.uint64(1 << 63))
    found[np.isnan(values)] = np.uint64(2**64 - 1)
    return found


def _middles(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many bytes come before the middle of each."""
    ends = np.cumsum(sizes)
    return ends - sizes / 2
