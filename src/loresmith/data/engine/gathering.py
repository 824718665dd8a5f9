"""What stages made of shards, put together to one asset."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from loresmith.data.tables import BatchWriter

_GROUP_ROWS = 4096


def empty(folder: Path) -> None:
    """Remove what a start that was killed may have left in an output."""
    for left_over in folder.iterdir():
        left_over.unlink()


def place(file: Path, target: Path) -> None:
    """Put a file in a second place as well, as cheaply as the file system allows."""
    try:
        target.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, target)


def write_together(target: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write one table of small rows; its bytes do not depend on how the rows were divided. How many they are."""
    count = 0
    with BatchWriter(target, schema) as writer:
        for batch in _regrouped(batches):
            writer.add(batch)
            count += batch.num_rows
    return count


def batches_of(paths: Iterable[Path]) -> Iterator[pa.RecordBatch]:
    """The rows of tables, one table after the other."""
    for path in paths:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            yield from file.iter_batches(_GROUP_ROWS, use_threads=False)


def _regrouped(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of as many as a row group has."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        while rows + batch.num_rows >= _GROUP_ROWS:
            taken = _GROUP_ROWS - rows
            yield _joined([*waiting, batch.slice(0, taken)])
            batch = batch.slice(taken)
            waiting, rows = [], 0
        if batch.num_rows:
            waiting.append(batch)
            rows += batch.num_rows
    if waiting:
        yield _joined(waiting)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    (joined,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return joined
