"""Numbers about all documents in files mapped into memory: the system takes that memory back where it needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 16


class MappedRows:
    """Rows that are written one batch after the other and read all together.

    Args:
        folder: where the file lies; None: the rows are kept in memory.
        name: of the file.
        dtype: of a row; of several numbers, `read` gives an array of two dimensions.
    """

    def __init__(self, folder: Path | None, name: str, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._path = folder / f"{name}.rows" if folder is not None else None
        self._batches: list[NDArray[Any]] = []
        self._count = 0
        if self._path is not None:
            self._path.write_bytes(b"")

    def add(self, rows: NDArray[Any]) -> None:
        """Add rows at the end."""
        self._count += len(rows)
        if self._path is None:
            self._batches.append(rows)
            return
        with self._path.open("ab") as file:
            file.write(rows.astype(self._dtype.base, copy=False).tobytes())

    def read(self) -> NDArray[Any]:
        """All rows, which are not to be changed."""
        shape = (self._count, *self._dtype.shape)
        if self._path is None or not self._count:
            return np.concatenate([np.empty((0, *self._dtype.shape), self._dtype.base), *self._batches])
        return np.memmap(self._path, self._dtype.base, "r", shape=shape)


def mapped_full(folder: Path | None, name: str, count: int, dtype: np.dtype[Any], value: float) -> NDArray[Any]:
    """An array of one value, which may be changed; in a file of the folder, if there is one."""
    if folder is None or not count:
        return np.full(count, value, dtype)
    path = folder / f"{name}.rows"
    with path.open("wb") as file:  # written, not mapped: a full disk is an error here, and would be a crash there
        for first in range(0, count, _BLOCK):
            file.write(np.full(min(_BLOCK, count - first), value, dtype).tobytes())
    return np.memmap(path, dtype, "r+", shape=(count,))
