"""The relational parts over files of our own: rows are parted by their keys until a part fits in memory (the first half
of a Grace hash join: Kitsuregawa, Tanaka and Moto-oka, "Application of hash to data base machine", 1983)."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loresmith.data.engine.rows import KEYED, PAIRS, PASSAGES, REPEATED, SHARED, Rows, read_rows
from loresmith.data.engine.spill import Spill

_SHARE = 24
"""Of the memory, a part takes one in so many: sorting it, and what is made of it, take up to twelve times as much."""

_SMALLEST_PART = 1 << 14
_CODED = np.dtype([("key", np.uint64)])
_SIDED = np.dtype([("key", np.uint64), ("document", np.uint32), ("side", np.uint8)])
_REPEATED = np.dtype([("key", np.uint64), *((name, np.uint32) for name in REPEATED.names or ())])


class NativeTables:
    """Answers from parts of rows on disk.

    Args:
        work: a folder for what is in between; what is in it is removed, and nothing stays in it.
        memory: bytes that an answer may take while it is made.
    """

    def __init__(self, work: Path, memory: int) -> None:
        shutil.rmtree(work, ignore_errors=True)  # what a process left that was killed
        self._work = work
        self._numbers = itertools.count()
        self._part = max(_SMALLEST_PART, memory // _SHARE)

    def common_keys(self, files: Sequence[Path], at_least: int) -> NDArray[np.uint64]:
        common = [np.empty(0, dtype=np.uint64)]
        with self._spilled(files, KEYED) as (spill, _):
            last, so_far = None, 0  # the last key and how many documents have it, if it goes on in the next part
            for rows, known in _sorted_parts(spill):
                begins = _begins(rows)
                new = begins | np.r_[True, rows["document"][1:] != rows["document"][:-1]]
                new[:known] = False
                counts = np.add.reduceat(new, np.flatnonzero(begins), dtype=np.int64)
                keys = rows["key"][begins]
                if known:
                    counts[0] += so_far
                enough = keys[counts >= at_least]
                if known and last is not None and so_far >= at_least:
                    enough = enough[1:]  # said already
                common.append(enough)
                last, so_far = keys[-1], int(counts[-1])
        return np.concatenate(common)

    def repeated(self, files: Sequence[Path]) -> Iterator[Rows]:
        with (
            self._spilled(files, PASSAGES) as (spill, bits),
            Spill(self._folder(), _REPEATED, self._part, 32 - bits) as found,
        ):
            for rows, known in _sorted_parts(spill):
                follows, first = _follows(rows, known)
                again = rows[follows]
                found.add(
                    key=again["document"].astype(np.uint64) << np.uint64(32) | again["start"],
                    kept=rows["document"][first],
                    **{name: again[name] for name in ("document", "start", "end")},
                )
            for part in found.parts():
                yield _as(part[np.argsort(part["key"], kind="stable")], REPEATED)

    def neighbours(self, files: Sequence[Path]) -> Iterator[Rows]:
        with (
            self._spilled(files, KEYED) as (spill, bits),
            Spill(self._folder(), _CODED, self._part, 32 - bits) as pairs,
        ):
            for rows, known in _sorted_parts(spill):
                follows, first = _follows(rows, known)
                documents = rows["document"].astype(np.uint64)
                codes = [documents[before] << np.uint64(32) | documents[follows] for before in (follows - 1, first)]
                found = np.unique(np.concatenate(codes))
                pairs.add(key=found[found >> np.uint64(32) != found & np.uint64(0xFFFFFFFF)])
            for block in _counted(pairs):
                yield _as(block, PAIRS)

    def shared(self, left: Sequence[Path], right: Sequence[Path]) -> Iterator[Rows]:
        highest = 0
        with Spill(self._folder(), _SIDED, self._part) as spill:
            for side, files in enumerate((left, right)):
                for columns in read_rows(files, KEYED):
                    highest = max(highest, int(columns["document"].max(initial=0)))
                    spill.add(**columns, side=np.full(len(columns["key"]), side, dtype=np.uint8))
            with Spill(self._folder(), _CODED, self._part, 32 - max(1, highest.bit_length())) as pairs:
                for codes in _matches(spill, self._part // 8):
                    pairs.add(key=codes)
                yield from _counted(pairs)

    @contextmanager
    def _spilled(self, files: Sequence[Path], dtype: np.dtype[np.void]) -> Iterator[tuple[Spill, int]]:
        """All rows, and how many bits their documents' numbers have."""
        highest = 0
        with Spill(self._folder(), dtype, self._part) as spill:
            for columns in read_rows(files, dtype):
                highest = max(highest, int(columns["document"].max(initial=0)))
                spill.add(**columns)
            yield spill, max(1, highest.bit_length())

    def _folder(self) -> Path:
        return self._work / str(next(self._numbers))


def own_tables(work: Path) -> NativeTables:
    """Tables for one question in a folder, in 256 MiB."""
    return NativeTables(work / "tables", 256 << 20)


def _sorted_parts(spill: Spill) -> Iterator[tuple[Rows, int]]:
    """Parts sorted by key, the rows of a key in the order in which they came. Where a key goes on from the part before,
    its first and its last row of that part come again at the beginning; and how many rows do."""
    held: Rows | None = None
    for part in spill.parts():
        part = part[np.argsort(part["key"].copy(), kind="stable")]
        known = 0
        if held is not None and held["key"][0] == part["key"][0]:
            part, known = np.concatenate([held, part]), len(held)
        yield part, known
        held = part[[int(np.searchsorted(part["key"], part["key"][-1])), -1]]


def _begins(rows: Rows) -> NDArray[np.bool_]:
    """Whether a row is the first of its key."""
    begins = np.ones(len(rows), dtype=bool)
    np.not_equal(rows["key"][1:], rows["key"][:-1], out=begins[1:])
    return begins


def _follows(rows: Rows, known: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The places of rows, after the known ones, that are not the first of their key; and of which row that is."""
    begins = _begins(rows)
    first = np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))
    follows = np.flatnonzero(~begins[known:]) + known
    return follows, first[follows]


def _matches(spill: Spill, most: int) -> Iterator[NDArray[np.uint64]]:
    """Each pair of a left document and a right one of higher number as often as they share a key, about `most` at a
    time. Of a key that has several parts, the left rows come before the right ones."""
    keys, documents = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64)  # left rows of the highest key so far
    for part in spill.parts():
        is_left = part["side"] == 0
        part_keys, part_documents = part["key"].copy(), part["document"].astype(np.uint64)
        keys = np.concatenate([keys, part_keys[is_left]])
        documents = np.concatenate([documents, part_documents[is_left]])
        order = np.argsort(keys)
        keys, documents = keys[order], documents[order]
        yield from _expanded(keys, documents, part_keys[~is_left], part_documents[~is_left], most)
        goes_on = keys == part_keys.max()
        keys, documents = keys[goes_on], documents[goes_on]


def _expanded(
    keys: NDArray[np.uint64],
    left: NDArray[np.uint64],
    right_keys: NDArray[np.uint64],
    right: NDArray[np.uint64],
    most: int,
) -> Iterator[NDArray[np.uint64]]:
    """The pairs of left documents, under ascending keys, and right ones."""
    if not len(keys):
        return
    begins = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    different = keys[begins]
    places = np.searchsorted(different, right_keys)
    places[places == len(different)] = 0
    known = different[places] == right_keys
    places, right = places[known], right[known]
    first, counts = begins[places], np.diff(begins, append=len(keys))[places]
    ends = np.cumsum(counts)
    start = 0
    while start < len(right):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        some = counts[start:end]
        each = np.arange(int(ends[end - 1]) - before) - np.repeat(ends[start:end] - some - before, some)
        one = left[np.repeat(first[start:end], some) + each]
        other = np.repeat(right[start:end], some)
        yield (one << np.uint64(32) | other)[one < other]
        start = end


def _counted(pairs: Spill) -> Iterator[Rows]:
    """Each pair with how often it is there."""
    held = _pairs(np.empty(0, dtype=np.uint64), SHARED)  # the last pair, which may go on in the next part
    for part in pairs.parts():
        found, counts = np.unique(part["key"], return_counts=True)
        block = _pairs(found, SHARED)
        block["count"] = counts
        if len(held) and (held[["left", "right"]] == block[["left", "right"]][0])[0]:
            block["count"][0] += held["count"][0]
        else:
            block = np.concatenate([held, block])
        yield block[:-1]
        held = block[-1:]
    yield held


def _pairs(codes: NDArray[np.uint64], dtype: np.dtype[np.void]) -> Rows:
    pairs = np.zeros(len(codes), dtype=dtype)
    pairs["left"], pairs["right"] = codes >> np.uint64(32), codes & np.uint64(0xFFFFFFFF)
    return pairs


def _as(rows: Rows, dtype: np.dtype[np.void]) -> Rows:
    """The columns of a type."""
    result = np.empty(len(rows), dtype=dtype)
    for name in dtype.names or ():
        result[name] = rows[name]
    return result
