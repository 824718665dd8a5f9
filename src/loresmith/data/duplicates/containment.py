"""Documents that are inside others: a chapter that has a file of its own, a mail quoted in its reply.

A sample of a document's shingles, the smallest of their hashes (bottom-k: Broder, "On the resemblance and containment
of documents", 1997), is looked for among all shingles of all other documents. The share that one of them has estimates
how much of the document is in it; those that come close are compared by their true sets of shingles.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loresmith.data.duplicates.findings import write_findings
from loresmith.data.duplicates.near_duplicates import whole_documents
from loresmith.data.duplicates.sketches import Sketches
from loresmith.data.engine.engine import Tables
from loresmith.data.engine.native_tables import own_tables
from loresmith.data.engine.rows import KEYED, SHARED, Rows, RowWriter, read_rows

SAMPLED = 64
"""Shingles of a document that are looked for: a share of 0.9 is estimated to 0.04."""

SMALLEST = 32
"""A document with fewer different shingles is not looked for: a heading or a form is inside many by chance."""

MOST_OWNERS = 32
"""A shingle that more documents than this sample is boilerplate and tells nothing."""

_FEWEST = 12  # of a document's sample must be left to judge by
_DOUBT = 3.0  # standard errors by which the estimate may be short of the threshold
_COMPARED = 8  # candidates of a document that are compared by their true sets, the most likely first
_READ_TOGETHER = 1 << 18
_WRITTEN_AT_ONCE = 1 << 14
_PLACES = (10, 29)
"""Bits by which shingles are told that may be sampled, the fewest and the most: at most 64 MiB, one bit for each."""


def contained_documents(sketches: Sketches, work: Path, threshold: float, tables: Tables | None = None) -> pa.Table:
    """Which documents are inside another one that is kept.

    A document is only looked for in larger ones (of more shingles; of equally many, earlier ones), and the one that has
    most of it is reported. What is itself inside another document is not reported as kept.

    Args:
        sketches: of all documents; exact and near duplicates had better be gone, since they hide one another.
        work: a folder for intermediate files and the table; made if need be.
        threshold: share of a document's shingles that the other must have, from 0 to 1.
        tables: joins the samples with all shingles; None: our own, in 256 MiB. In memory there are, besides, 41 bytes
            a document, what is found, and 96 MiB of sketches and of marks.

    Returns:
        `FINDINGS` of kind "contained", in the order of the documents; the similarity is the true containment.
    """
    work.mkdir(parents=True, exist_ok=True)
    sizes = _Sizes(sketches)
    tables = tables or own_tables(work)
    samples, shingles = work / "samples.parquet", work / "shingles.parquet"
    sampled = _write_samples(sketches, sizes, samples, work / "all-samples.parquet", tables)
    _write_shingles(sketches, sizes, shingles, _marks(samples, int(sampled.sum())))
    likely = _likely(sizes, sampled, tables.shared([samples], [shingles]), threshold)
    found = dict(_compared(sketches, likely, threshold))
    samples.unlink()
    shingles.unlink()
    return write_findings(work / "contained.arrow", _findings(sketches, _kept(sketches, found, threshold)))


class _Sizes:
    """Documents by their size: of two, the larger one has the higher rank.

    Attributes:
        ranks: (documents,) the rank of each.
        documents: (documents,) the document of each rank.
    """

    def __init__(self, sketches: Sketches) -> None:
        numbers = np.arange(len(sketches))
        self.documents: NDArray[np.intp] = np.lexsort((-numbers, sketches.counts))
        self.ranks = np.empty(len(numbers), dtype=np.uint32)
        self.ranks[self.documents] = numbers


def _write_samples(
    sketches: Sketches, sizes: _Sizes, path: Path, everything: Path, tables: Tables
) -> NDArray[np.uint8]:
    """Write the samples without boilerplate; how many shingles of each document are left in its own."""
    with RowWriter(everything, KEYED) as rows:
        for owners, hashes in sketches.shingle_blocks(_READ_TOGETHER):
            starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
            places = np.arange(len(owners)) - np.repeat(starts, np.diff(starts, append=len(owners)))
            taken = (places < SAMPLED) & (sketches.counts[owners] >= SMALLEST)
            rows.add(key=_keys(hashes[taken]), document=owners[taken])
    boilerplate = tables.common_keys([everything], MOST_OWNERS + 1)
    sampled = np.zeros(len(sketches), dtype=np.uint8)
    with RowWriter(path, KEYED) as rows:
        for columns in read_rows([everything], KEYED):
            telling = ~_among(columns["key"], boilerplate)
            owners = columns["document"][telling]
            np.add.at(sampled, owners, 1)
            rows.add(key=columns["key"][telling], document=sizes.ranks[owners])
    everything.unlink()
    return sampled


def _write_shingles(sketches: Sketches, sizes: _Sizes, path: Path, marks: NDArray[np.uint8]) -> None:
    """Write the shingles that may be sampled of a document."""
    shift = _shift(marks)
    with RowWriter(path, KEYED) as rows:
        for owners, hashes in sketches.shingle_blocks(_READ_TOGETHER):
            places = hashes >> shift
            marked = (marks[places >> np.uint32(3)] >> (places & np.uint32(7)).astype(np.uint8)) & np.uint8(1) == 1
            rows.add(key=_keys(hashes[marked]), document=sizes.ranks[owners[marked]])


def _marks(samples: Path, count: int) -> NDArray[np.uint8]:
    """One bit for each beginning of a hash, set where a sampled one begins so; sixteen times as many as are sampled."""
    bits = min(max((16 * count).bit_length(), _PLACES[0]), _PLACES[1])
    marks = np.zeros(1 << (bits - 3), dtype=np.uint8)
    for columns in read_rows([samples], KEYED):
        places = (columns["key"] >> np.uint64(64 - bits)).astype(np.uint32)
        np.bitwise_or.at(marks, places >> np.uint32(3), np.uint8(1) << (places & np.uint32(7)).astype(np.uint8))
    return marks


def _shift(marks: NDArray[np.uint8]) -> np.uint32:
    return np.uint32(32 - (len(marks).bit_length() - 1 + 3))


def _keys(hashes: NDArray[np.uint32]) -> NDArray[np.uint64]:
    return hashes.astype(np.uint64) << np.uint64(32)


def _among(keys: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether a key is among known ones, which ascend."""
    places = np.searchsorted(known, keys)
    places[places == len(known)] = 0
    return known[places] == keys if len(known) else np.zeros(len(keys), dtype=bool)


def _likely(
    sizes: _Sizes, sampled: NDArray[np.uint8], blocks: Iterator[Rows], threshold: float
) -> Iterator[tuple[int, list[int]]]:
    """Documents with those that they may be inside of, the most likely first."""
    held = np.empty(0, dtype=SHARED)  # of the last document, which may go on in the next block
    for block in itertools.chain(blocks, [np.empty(0, dtype=SHARED)]):
        looked_for = sampled[sizes.documents[block["left"]]].astype(np.float64)
        least = threshold - _DOUBT * np.sqrt(threshold * (1 - threshold) / looked_for)
        some = np.concatenate([held, block[(block["count"] / looked_for >= least) & (looked_for >= _FEWEST)]])
        goes_on = int(np.searchsorted(some["left"], some["left"][-1])) if len(block) and len(some) else len(some)
        some, held = some[:goes_on], some[goes_on:]
        outer = sizes.documents[some["right"]]
        order = np.lexsort((outer, -some["count"].astype(np.int64), some["left"]))
        some, outer = some[order], outer[order]
        begins = np.r_[True, some["left"][1:] != some["left"][:-1]][: len(some)]
        for start, end in itertools.pairwise([*np.flatnonzero(begins).tolist(), len(some)]):
            inner = int(sizes.documents[some["left"][start]])
            yield inner, outer[start : min(end, start + _COMPARED)].tolist()


def _compared(
    sketches: Sketches, likely: Iterator[tuple[int, list[int]]], threshold: float
) -> Iterator[tuple[int, list[tuple[float, int]]]]:
    """For documents that are inside others: (containment, minus the other's number), the fullest first."""
    for document, others in likely:
        true = [(sketches.containment(document, other), -other) for other in others]
        if passed := sorted((pair for pair in true if pair[0] >= threshold), reverse=True):
            yield document, passed


def _kept(
    sketches: Sketches, found: Mapping[int, list[tuple[float, int]]], threshold: float
) -> dict[int, tuple[int, float]]:
    """For each document that goes the one that stays and how much of it that one has. From the largest down, so that
    what becomes of a document's holders is known."""
    kept: dict[int, tuple[int, float]] = {}
    for document in sorted(found, key=lambda number: (-int(sketches.counts[number]), number)):
        for share, minus_other in found[document]:
            other = -minus_other
            if other in kept:  # it goes itself; what it is inside of may hold this document as well
                other = kept[other][0]
                share = sketches.containment(document, other)
            if share >= threshold:
                kept[document] = other, share
                break
    return kept


def _findings(sketches: Sketches, kept: Mapping[int, tuple[int, float]]) -> Iterator[pa.RecordBatch]:
    documents = sorted(kept)
    for start in range(0, len(documents), _WRITTEN_AT_ONCE):
        some = documents[start : start + _WRITTEN_AT_ONCE]
        others = np.array([kept[number][0] for number in some], dtype=np.int64)
        shares = [kept[number][1] for number in some]
        yield whole_documents(sketches, np.array(some, dtype=np.int64), others, "contained", shares)
