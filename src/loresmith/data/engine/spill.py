"""Rows on disk, parted by a key, for sorting and joining what does not fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loresmith.data.engine.rows import Rows

_BITS = 6
_READ_BYTES = 1 << 20


class Spill:
    """Rows of one type, in files by the highest bits of their keys. A context manager; nothing is left behind.

    Rows come back a part at a time: all rows of a key are in one part, and a part holds higher keys than the one
    before. Within a part the rows are in the order in which they were added. Only a key that has more rows than fit in
    a part comes in several, one after the other, which have nothing else in them.

    Args:
        folder: made for the rows, and removed.
        dtype: of the rows, with a field `key` of type uint64.
        memory: bytes of rows in a part at most.
        skipped_bits: how many of the highest bits are the same in all keys.
    """

    def __init__(self, folder: Path, dtype: np.dtype[np.void], memory: int, skipped_bits: int = 0) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._dtype = dtype
        self._memory = max(memory, dtype.itemsize)
        bits = min(_BITS, 64 - skipped_bits)
        self._parts = 1 << bits
        self._shift = np.uint64(64 - bits - skipped_bits)
        self._used_bits = skipped_bits + bits
        self._paths = [folder / f"{number:02}.rows" for number in range(self._parts)]
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
            if bytes_ > self._memory:
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
        part = ((rows["key"] >> self._shift) & np.uint64(self._parts - 1)).astype(np.uint8)
        order = np.argsort(part, kind="stable")
        rows = rows[order]
        borders = np.searchsorted(part[order], np.arange(self._parts + 1))
        for number, file in enumerate(self._files):
            if borders[number] < borders[number + 1]:
                file.write(rows[borders[number] : borders[number + 1]].data)

    def _parted_again(self, path: Path) -> Iterator[Rows]:
        if self._used_bits == 64 or self._one_key(path):
            yield from self._blocks(path, self._memory)
            return
        with Spill(path.with_suffix(".parts"), self._dtype, self._memory, self._used_bits) as finer:
            for rows in self._blocks(path, _READ_BYTES):
                finer._add(rows)
            yield from finer.parts()

    def _one_key(self, path: Path) -> bool:
        first = np.fromfile(path, dtype=self._dtype, count=1)["key"][0]
        return all((rows["key"] == first).all() for rows in self._blocks(path, _READ_BYTES))

    def _blocks(self, path: Path, bytes_: int) -> Iterator[Rows]:
        with path.open("rb") as file:
            while len(rows := np.fromfile(file, dtype=self._dtype, count=max(1, bytes_ // self._dtype.itemsize))):
                yield rows
