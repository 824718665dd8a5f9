"""Parquet files as this room writes them: zstd, bounded row groups, the same bytes for the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet

_GROUP_BYTES = 8 << 20
_GROUP_ROWS = 4096


class TableWriter:
    """Writes one file, row by row: a row group for every 8 MiB of text or 4,096 rows. A context manager."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows: list[Mapping[str, Any]] = []
        self._pending_bytes = 0
        self._writer = pyarrow.parquet.ParquetWriter(path, schema, compression="zstd", compression_level=3)

    def add(self, row: Mapping[str, Any], text_bytes: int = 0) -> None:
        """Add a row that holds about that much text."""
        self._rows.append(row)
        self._pending_bytes += text_bytes
        if self._pending_bytes >= _GROUP_BYTES or len(self._rows) >= _GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is left and the end of the file."""
        if self._rows:
            self._flush()
        self._writer.close()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, self._schema), row_group_size=_GROUP_ROWS)
        self._rows, self._pending_bytes = [], 0


class BatchWriter:
    """Writes one file, batch by batch, in row groups as `TableWriter` does. A context manager.

    Where a row group ends depends on the rows alone, not on how they were divided into batches.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._pending: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0
        self._writer = pyarrow.parquet.ParquetWriter(path, schema, compression="zstd", compression_level=3)

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows; where they have a column `bytes`, that is how much text each holds."""
        sizes = batch.column("bytes").to_pylist() if "bytes" in self._schema.names else [0] * batch.num_rows
        start = 0
        for number, size in enumerate(sizes, 1):
            self._bytes += size  # type: ignore[operator]
            if self._bytes >= _GROUP_BYTES or self._rows + number - start >= _GROUP_ROWS:
                self._pending.append(batch.slice(start, number - start))
                self._flush()
                start = number
        if start < batch.num_rows:
            self._pending.append(batch.slice(start))
            self._rows += batch.num_rows - start

    def __enter__(self) -> BatchWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._pending:
            table = pa.Table.from_batches(self._pending, self._schema)
            self._writer.write_table(table, row_group_size=_GROUP_ROWS)
        self._pending, self._rows, self._bytes = [], 0, 0
