"""Rows put in order on disk, whatever their number."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loresmith.data.engine.rows import Rows
from loresmith.data.engine.spill import Spill

_SHARE = 16
"""Of the memory, a part takes one in so many: what becomes of its rows takes several times as much."""

_SMALLEST_PART = 1 << 16
_READ_ROWS = 1 << 13
_KEYS = np.dtype([("key", np.uint64)])


class Sorting:
    """Puts rows in order.

    Args:
        folder: for what is in between; nothing stays in it.
        memory: bytes that may be taken.
    """

    def __init__(self, folder: Path, memory: int) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._folder = folder
        self._part = max(_SMALLEST_PART, memory // _SHARE)
        self._sorted = 0

    def by_key(self, blocks: Iterable[Rows], dtype: np.dtype[np.void], bits: int = 64) -> Iterator[Rows]:
        """Rows by ascending key; those of one key stay in the order in which they came.

        Args:
            dtype: of the rows, with a field `key` of type uint64.
            bits: of the keys; higher ones are 0 in all of them.
        """
        self._sorted += 1
        with Spill(self._folder / str(self._sorted), dtype, self._part, 64 - bits) as spill:
            for rows in blocks:
                spill.add(**{name: rows[name] for name in dtype.names or ()})
            for part in spill.parts():
                yield part[np.argsort(part["key"].copy(), kind="stable")]

    def different(self, keys: Iterable[NDArray[np.uint64]]) -> Iterator[NDArray[np.uint64]]:
        """Each key once, ascending."""
        last: int | None = None
        for part in self.by_key((_keyed(some) for some in keys), _KEYS):
            found = np.unique(part["key"])
            if last is not None and found[0] == last:
                found = found[1:]
            last = int(part["key"][-1])
            yield found


def write_rows(path: Path, blocks: Iterable[Rows]) -> int:
    """Write rows down as they lie in memory; how many they are."""
    count = 0
    with path.open("wb") as file:
        for rows in blocks:
            file.write(np.ascontiguousarray(rows).data)
            count += len(rows)
    return count


def read_rows_of(path: Path, dtype: np.dtype[np.void], first: int = 0, after: int | None = None) -> Iterator[Rows]:
    """Rows that `write_rows` wrote, from one number to the one before another, some at a time."""
    with path.open("rb") as file:
        file.seek(first * dtype.itemsize)
        left = path.stat().st_size // dtype.itemsize - first if after is None else after - first
        while left > 0 and len(rows := np.fromfile(file, dtype=dtype, count=min(left, _READ_ROWS))):
            left -= len(rows)
            yield rows


def _keyed(keys: NDArray[np.uint64]) -> Rows:
    rows = np.empty(len(keys), dtype=_KEYS)
    rows["key"] = keys
    return rows
