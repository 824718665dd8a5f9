"""Documents put into a new order that has nothing to do with the one they lie in, without all of them in memory.

They are dealt out to files by where they will stand, each file of a part that fits in memory; then the files are read
one after the other, each is put in order, and written.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from numpy.typing import NDArray

_PART_BYTES = 64 << 20
_MOST_PARTS = 256
_PENDING_BYTES = 32 << 20


class Placing:
    """A context manager; nothing is left in the folder.

    Args:
        folder: made for the files.
        ends: int64, ascending: how many bytes of text there are up to the end of each place in the new order.
    """

    def __init__(self, folder: Path, ends: NDArray[np.int64]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._folder = folder
        total = int(ends[-1]) if len(ends) else 0
        part_bytes = max(_PART_BYTES, -(-total // _MOST_PARTS))
        self._part_of = (np.maximum(ends - 1, 0) // part_bytes).astype(np.int64)
        self._files: dict[int, tuple[pa.OSFile, Any]] = {}
        self._pending: list[pa.RecordBatch] = []
        self._places: list[NDArray[np.int64]] = []
        self._bytes = 0

    def add(self, rows: pa.RecordBatch, places: NDArray[np.int64], bytes_: int) -> None:
        """Add rows, each with its place in the new order; they hold so many bytes of text."""
        self._pending.append(rows)
        self._places.append(places)
        self._bytes += bytes_
        if self._bytes >= _PENDING_BYTES:
            self._deal_out()

    def rows(self) -> Iterator[dict[str, Any]]:
        """All rows in the new order, once."""
        self._deal_out()
        for part in sorted(self._files):
            file, writer = self._files.pop(part)
            writer.close()
            file.close()
            path = self._path(part)
            with pa.OSFile(str(path), "rb") as source:
                table = pyarrow.ipc.open_stream(source).read_all()
            order = np.argsort(np.asarray(table["place"]), kind="stable")
            path.unlink()
            for start in range(0, len(order), 256):
                yield from (
                    table.take(pa.array(order[start : start + 256], pa.int64())).drop_columns(["place"]).to_pylist()
                )

    def __enter__(self) -> Placing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file, writer in self._files.values():
            writer.close()
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _deal_out(self) -> None:
        if not self._pending:
            return
        places = np.concatenate(self._places)
        parts = self._part_of[places]
        order = np.argsort(parts, kind="stable")
        table = pa.Table.from_batches(self._pending).append_column("place", pa.array(places))
        borders = np.flatnonzero(np.r_[True, parts[order][1:] != parts[order][:-1], True])
        for start, end in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
            some = table.take(pa.array(order[start:end], pa.int64()))
            self._writer(int(parts[order[start]]), some.schema).write_table(some)
        self._pending, self._places, self._bytes = [], [], 0

    def _writer(self, part: int, schema: pa.Schema) -> Any:
        if part not in self._files:
            file = pa.OSFile(str(self._path(part)), "wb")
            self._files[part] = file, pyarrow.ipc.new_stream(file, schema)
        return self._files[part][1]

    def _path(self, part: int) -> Path:
        return self._folder / f"{part:03}.arrow"
