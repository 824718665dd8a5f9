"""Files of rows: small numbers about documents that are joined. Parquet, so that any engine reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Rows = NDArray[np.void]
"""A structured array."""

KEYED = np.dtype([("key", np.uint64), ("document", np.uint32)])
"""A document has something, of which the key is a hash."""

PASSAGES = np.dtype([("key", np.uint64), ("document", np.uint32), ("start", np.uint32), ("end", np.uint32)])
"""A document has it between two characters."""

REPEATED = np.dtype([("document", np.uint32), ("kept", np.uint32), ("start", np.uint32), ("end", np.uint32)])
"""A passage that stands before; `kept` is the document that has it first."""

PAIRS = np.dtype([("left", np.uint32), ("right", np.uint32)])
SHARED = np.dtype([("left", np.uint32), ("right", np.uint32), ("count", np.uint32)])

_GROUP_ROWS = 1 << 17


class RowWriter:
    """Writes a file of rows. A context manager.

    Args:
        dtype: `KEYED` or `PASSAGES`.
    """

    def __init__(self, path: Path, dtype: np.dtype[np.void]) -> None:
        self._schema = schema_of(dtype)
        self._pending: list[pa.RecordBatch] = []
        self._rows = 0
        self._writer = pq.ParquetWriter(
            path, self._schema, compression="none", use_dictionary=False, write_statistics=False
        )

    def add(self, **columns: NDArray[Any]) -> None:
        """Add rows, given as one array for each column."""
        arrays = [pa.array(columns[field.name]).cast(field.type) for field in self._schema]
        self._pending.append(pa.record_batch(arrays, schema=self._schema))
        self._rows += len(arrays[0])
        if self._rows >= _GROUP_ROWS:
            self._flush()

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            table = pa.Table.from_batches(self._pending, self._schema).combine_chunks()
            self._writer.write_table(table, row_group_size=_GROUP_ROWS)
        self._pending, self._rows = [], 0


def schema_of(dtype: np.dtype[np.void]) -> pa.Schema:
    """The columns of rows."""
    assert dtype.names is not None
    return pa.schema([pa.field(name, pa.from_numpy_dtype(dtype[name]), nullable=False) for name in dtype.names])


def read_rows(files: Sequence[Path], dtype: np.dtype[np.void]) -> Iterator[dict[str, NDArray[Any]]]:
    """The rows of files, some at a time, as one array for each column of `dtype`."""
    names = list(dtype.names or ())
    for path in files:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=_GROUP_ROWS, columns=names, use_threads=False):
                yield {name: batch.column(name).to_numpy() for name in names}


def write_found(path: Path, blocks: Iterator[Rows], dtype: np.dtype[np.void]) -> Rows:
    """Write an answer of `Tables` down and give it back mapped into memory, so that its size does not matter.

    Of one that ascends by document, `np.searchsorted` finds the rows of a shard's documents.
    """
    with path.open("wb") as file:
        for block in blocks:
            file.write(block.data)
    return read_found(path, dtype)


def read_found(path: Path, dtype: np.dtype[np.void]) -> Rows:
    """An answer that `write_found` wrote down."""
    if not path.stat().st_size:
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r")
