"""Documents that are inside others: a chapter that has a file of its own, a mail quoted in its reply.

A sample of a document's shingles, the smallest of their hashes (bottom-k: Broder, "On the resemblance and containment
of documents", 1997), is looked for among all shingles of all other documents. The share that one of them has estimates
how much of the document is in it; those that come close are compared by their true sets of shingles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loresmith.data.duplicates.findings import write_findings
from loresmith.data.duplicates.near_duplicates import MEMORY, whole_documents
from loresmith.data.duplicates.sketches import Sketches
from loresmith.data.engine.rows import Rows
from loresmith.data.engine.spill import Spill

SAMPLED = 64
"""Shingles of a document that are looked for: a share of 0.9 is estimated to 0.04."""

SMALLEST = 32
"""A document with fewer different shingles is not looked for: a heading or a form is inside many by chance."""

MOST_OWNERS = 32
"""A shingle that more documents than this sample is boilerplate and tells nothing."""

_FEWEST = 12  # of a document's sample must be left to judge by
_DOUBT = 3.0  # standard errors by which the estimate may be short of the threshold
_COMPARED = 8  # candidates of a document that are compared by their true sets, the most likely first
_INDEX_ROWS = np.dtype([("key", np.uint64), ("document", np.uint32)])
_MATCH_ROWS = np.dtype([("key", np.uint64)])
_READ_TOGETHER = 1 << 18
_WRITTEN_AT_ONCE = 1 << 14


def contained_documents(sketches: Sketches, work: Path, threshold: float, memory: int = MEMORY) -> pa.Table:
    """Which documents are inside another one that is kept.

    A document is only looked for in larger ones (of more shingles; of equally many, earlier ones), and the one that has
    most of it is reported. What is itself inside another document is not reported as kept.

    Args:
        sketches: of all documents; exact and near duplicates had better be gone, since they hide one another.
        work: a folder for intermediate files and the table; made if need be.
        threshold: share of a document's shingles that the other must have, from 0 to 1.
        memory: bytes of rows that are sorted at a time; ten times as much is used in all, besides 25 bytes a document
            and what is found.

    Returns:
        `FINDINGS` of kind "contained", in the order of the documents; the similarity is the true containment.
    """
    work.mkdir(parents=True, exist_ok=True)
    sampled = np.zeros(len(sketches), dtype=np.uint8)
    found: dict[int, list[tuple[float, int]]] = {}
    with Spill(work / "matches", _MATCH_ROWS, memory) as matches:
        _spill_matches(sketches, work, memory, sampled, matches)
        for part in matches.parts():
            found.update(_compared(sketches, part, sampled, threshold))
    return write_findings(work / "contained.arrow", _findings(sketches, _kept(sketches, found, threshold)))


def _spill_matches(sketches: Sketches, work: Path, memory: int, sampled: NDArray[np.uint8], matches: Spill) -> None:
    """Put aside each pair of an inner and an outer document as often as they share a sampled shingle, and count in
    `sampled` how many shingles of each document were looked for."""
    with Spill(work / "index", _INDEX_ROWS, memory) as index:
        for owners, hashes in sketches.shingle_blocks(_READ_TOGETHER):
            starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
            places = np.arange(len(owners)) - np.repeat(starts, np.diff(starts, append=len(owners)))
            taken = (places < SAMPLED) & (sketches.counts[owners] >= SMALLEST)
            index.add(key=hashes[taken].astype(np.uint64) << np.uint64(32), document=owners[taken])
        for part in index.parts():
            keys, first, documents = _indexed(part)
            np.add.at(sampled, documents, 1)
            for owners, hashes in sketches.shingle_blocks(_READ_TOGETHER):
                _match(sketches, (keys, first, documents), owners, hashes, matches)


def _indexed(part: Rows) -> tuple[NDArray[np.uint32], NDArray[np.intp], NDArray[np.int64]]:
    """Different hashes, ascending; where the documents of each begin (with an end); and these documents."""
    hashes = (part["key"] >> np.uint64(32)).astype(np.uint32)
    order = np.argsort(hashes, kind="stable")
    hashes, documents = hashes[order], part["document"][order].astype(np.int64)
    first = np.flatnonzero(np.r_[True, hashes[1:] != hashes[:-1]])
    counts = np.diff(first, append=len(hashes))
    telling = counts <= MOST_OWNERS
    documents = documents[np.repeat(telling, counts)]
    return hashes[first[telling]], np.cumsum(np.r_[0, counts[telling]]), documents


def _match(
    sketches: Sketches,
    index: tuple[NDArray[np.uint32], NDArray[np.intp], NDArray[np.int64]],
    owners: NDArray[np.int64],
    hashes: NDArray[np.uint32],
    matches: Spill,
) -> None:
    keys, first, documents = index
    if not len(keys):
        return
    within = (hashes >= keys[0]) & (hashes <= keys[-1])  # a part of the index has a part of all hashes
    owners, hashes = owners[within], hashes[within]
    places = np.searchsorted(keys, hashes)
    places[places == len(keys)] = 0
    known = keys[places] == hashes
    places, outer = places[known], owners[known]
    counts = first[places + 1] - first[places]
    ends = np.cumsum(counts)
    each = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)
    inner = documents[np.repeat(first[places], counts) + each]
    outer = np.repeat(outer, counts)
    sizes = sketches.counts
    larger = (sizes[outer] > sizes[inner]) | ((sizes[outer] == sizes[inner]) & (outer < inner))
    matches.add(key=(inner[larger] << 32 | outer[larger]).astype(np.uint64))


def _compared(
    sketches: Sketches, part: Rows, sampled: NDArray[np.uint8], threshold: float
) -> Iterator[tuple[int, list[tuple[float, int]]]]:
    """For documents that are inside others: (containment, minus the other's number), the fullest first."""
    codes, counts = np.unique(part["key"], return_counts=True)
    inner, outer = (codes >> np.uint64(32)).astype(np.int64), (codes & np.uint64(0xFFFFFFFF)).astype(np.int64)
    looked_for = sampled[inner].astype(np.float64)
    least = threshold - _DOUBT * np.sqrt(threshold * (1 - threshold) / looked_for)
    likely = (counts / looked_for >= least) & (looked_for >= _FEWEST)
    inner, outer, counts = inner[likely], outer[likely], counts[likely]
    order = np.lexsort((outer, -counts, inner))
    inner, outer = inner[order], outer[order]
    _, starts = np.unique(inner, return_index=True)
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(inner)], strict=False):
        document = int(inner[start])
        others = outer[start : min(end, start + _COMPARED)].tolist()
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
