"""Documents divided into shards: what one process does at a time, and does again if it is killed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from loresmith.errors import UserError

LARGEST = 64 << 20
"""Bytes of text in a shard, unless it is said otherwise."""

_BATCH_ROWS = 256
_BATCH_BYTES = 16 << 20


@dataclass(frozen=True)
class Shard:
    """Some row groups of a file of documents, one after the other.

    Attributes:
        path: the file.
        first_group, groups: which row groups, and how many.
        first: the number of the first document, counted through all files.
        rows: documents.
        bytes: of text, about.
    """

    path: Path
    first_group: int
    groups: int
    first: int
    rows: int
    bytes: int

    @property
    def name(self) -> str:
        """Names the shard and how it is cut, for the folder of what a stage made of it."""
        return f"{self.path.stem}-{self.first_group:06d}-{self.groups}"

    def __str__(self) -> str:
        last = self.first_group + self.groups - 1
        return f"{self.path.name}, row groups {self.first_group} to {last}"


def shards(folder: Path, bytes_: int = LARGEST) -> list[Shard]:
    """All documents of an asset, in shards of whole row groups and about so much text; none is empty.

    Args:
        folder: documents-*.parquet.
        bytes_: a shard ends with the row group that reaches it; one row group may be larger.
    """
    found = []
    first = 0
    for path in sorted(folder.glob("documents-*.parquet")):
        with pq.ParquetFile(path, pre_buffer=False) as file:
            sizes = [_group(file.metadata, number) for number in range(file.metadata.num_row_groups)]
        start = rows = size = 0
        for number, (group_rows, group_bytes) in enumerate(sizes, 1):
            rows, size = rows + group_rows, size + group_bytes
            if rows and (size >= bytes_ or number == len(sizes)):
                found.append(Shard(path, start, number - start, first, rows, size))
                first, start, rows, size = first + rows, number, 0, 0
    return found


def require_columns(folder: Path, columns: Sequence[str]) -> None:
    """Make sure that an asset has documents with these columns.

    Raises:
        UserError: it has none, or not all of them.
    """
    files = sorted(folder.glob("documents-*.parquet"))
    if not files:
        raise UserError("there are no documents here: no documents-*.parquet", where=str(folder))
    if missing := sorted(set(columns) - set(pq.read_schema(files[0]).names)):
        raise UserError(
            f"these documents have no column {missing[0]!r}: an earlier version made them, or another program",
            where=str(folder),
            hint="ingest them again",
        )


def read_shard(shard: Shard, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The documents of a shard, at most 256 and about 16 MB of them at a time."""
    with pq.ParquetFile(shard.path, pre_buffer=False) as file:
        for number in range(shard.first_group, shard.first_group + shard.groups):
            rows, bytes_ = _group(file.metadata, number)
            together = max(1, min(_BATCH_ROWS, rows * _BATCH_BYTES // max(1, bytes_)))
            yield from file.iter_batches(together, row_groups=[number], columns=list(columns), use_threads=False)


def _group(metadata: pq.FileMetaData, number: int) -> tuple[int, int]:
    """Rows of a row group, and bytes of its text."""
    group = metadata.row_group(number)
    columns = (group.column(place) for place in range(group.num_columns))
    return group.num_rows, sum(column.total_uncompressed_size for column in columns if column.path_in_schema == "text")
