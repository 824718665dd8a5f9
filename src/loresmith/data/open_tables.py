"""Parquet read from a file that is already open, such as one of a store that is not a folder.

pyarrow's `read_table` scans a file in threads of its own, and one of them may be the last to let go of a Python file:
after the answer, when the interpreter is already ending, which aborts the process or hangs it (apache/arrow#33975,
#34314, #50482). What is here reads in the thread that asks, and holds nothing once it is closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

_BATCH_ROWS = 8192


def open_table(file: BinaryIO) -> pq.ParquetFile:
    """The table in a file. Raises what pyarrow raises for one that is none."""
    return pq.ParquetFile(file, pre_buffer=False)


def batches_of(
    table: pq.ParquetFile, columns: Sequence[str] | None = None, batch_rows: int = _BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Its rows in their order, that many at a time; some columns, or all."""
    yield from table.iter_batches(batch_rows, columns=None if columns is None else list(columns), use_threads=False)


def read_columns(file: BinaryIO, columns: Sequence[str]) -> pa.Table:
    """These columns of the table in a file, whole."""
    return open_table(file).read(list(columns), use_threads=False)
