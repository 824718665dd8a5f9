"""Rows on disk, parted by a key, for sorting and joining what does not fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BITS = 6
_READ_BYTES = 1 << 22

Rows = NDArray[np.void]
"""A structured array whose field `key` (uint64) says where a row belongs."""


class Spill:
    """Rows of one type, in files by the highest bits of their keys. A context manager; nothing is left behind.

    Rows come back a part at a time: all rows of a key are in one part, and a part holds higher keys than the one
    before. Within a part the rows are in the order in which they were added.

    Args:
        folder: made for the rows, and removed.
        dtype: of the rows, with a field `key` of type uint64.
        memory: bytes of rows in a part at most, unless a single key has more.
    """

    def __init__(self, folder: Path, dtype: np.dtype[np.void], memory: int, skipped_bits: int = 0) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._dtype = dtype
        self._memory = memory
        self._shift = np.uint64(64 - _BITS - skipped_bits)
        self._skipped_bits = skipped_bits
        self._paths = [folder / f"{number:02}.rows" for number in range(1 << _BITS)]
        self._files = [path.open("wb", buffering=1 << 16) for path in self._paths]

    def add(self, **columns: NDArray[Any]) -> None:
        """Add rows, given as one array for each field."""
        rows = np.empty(len(columns["key"]), dtype=self._dtype)
        for name, values in columns.items():
            rows[name] = values
        self._add(rows)

    def parts(self) -> Iterator[Rows]:
        """All rows, once, in parts as large as the memory allows."""
        for file in self._files:
            file.close()
        pending: list[Rows] = []
        size = 0
        for path in self._paths:
            bytes_ = path.stat().st_size
            if size and size + bytes_ > self._memory:
                yield np.concatenate(pending)
                pending, size = [], 0
            if bytes_ > self._memory and self._skipped_bits + 2 * _BITS <= 64:
                yield from self._parted_again(path)
            elif bytes_:
                pending.append(np.fromfile(path, dtype=self._dtype))
                size += bytes_
            path.unlink()
        if pending:
            yield np.concatenate(pending)

    def __enter__(self) -> Spill:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()
        for path in self._paths:
            path.unlink(missing_ok=True)
        self._folder.rmdir()

    def _add(self, rows: Rows) -> None:
        part = (rows["key"] >> self._shift) & np.uint64((1 << _BITS) - 1)
        order = np.argsort(part, kind="stable")
        rows = rows[order]
        borders = np.searchsorted(part[order], np.arange((1 << _BITS) + 1, dtype=np.uint64))
        for number, file in enumerate(self._files):
            if borders[number] < borders[number + 1]:
                file.write(rows[borders[number] : borders[number + 1]].data)

    def _parted_again(self, path: Path) -> Iterator[Rows]:
        folder = path.with_suffix(".parts")
        with Spill(folder, self._dtype, self._memory, self._skipped_bits + _BITS) as finer:
            count = max(1, _READ_BYTES // self._dtype.itemsize)
            with path.open("rb") as file:
                while len(rows := np.fromfile(file, dtype=self._dtype, count=count)):
                    finer._add(rows)
            yield from finer.parts()
