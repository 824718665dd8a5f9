"""Which documents and files a preview looks at: the same each time, spread over all there are."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from loresmith.data.corpus import read_documents
from loresmith.data.documents import DOCUMENT_COLUMNS, DocumentWriter
from loresmith.data.reading.sources import SourceFile

SAMPLE_BYTES = 64 << 20
"""Text of a sample at most, but for its first document."""

_ROW_GROUPS = 32
"""How many are read at most: a row group is read as a whole for any document in it."""


def choose_files(files: Iterable[SourceFile], count: int) -> tuple[list[SourceFile], int]:
    """So many files, sorted by path, and how many there are. A file stays in the sample when others are added, unless
    enough of them come before it by the hash of their path."""
    total = 0

    def counted() -> Iterable[SourceFile]:
        nonlocal total
        for file in files:
            total += 1
            yield file

    chosen = heapq.nsmallest(count, counted(), key=lambda file: _place(file.path))
    return sorted(chosen, key=lambda file: file.path), total


def choose_documents(documents: Path, sample: Path, count: int, most_bytes: int = SAMPLE_BYTES) -> int:
    """Write a sample of documents, in their order, into an empty folder; returns how many there are in all.

    Where they lie in many row groups, those of a few are chosen from.

    Args:
        documents: a `documents` asset.
        count: how many at most; where there are no more, all are taken.
        most_bytes: of text; what comes later in the sample's own order is left out.

    Raises:
        UserError: these are no documents as they are read today.
    """
    for _ in read_documents(documents, DOCUMENT_COLUMNS.names, batch_documents=1):
        break
    groups = _row_groups(documents)
    total = sum(rows for _, _, rows in groups)
    random = np.random.default_rng(0)
    if total > count and len(groups) > _ROW_GROUPS:
        places = np.sort(random.choice(len(groups), _ROW_GROUPS, replace=False))
        groups = [groups[place] for place in places.tolist()]
    sizes = np.concatenate(
        [np.empty(0, dtype=np.int64), *(_column(path, group, "bytes").to_numpy() for path, group, _ in groups)]
    )
    chosen = _within(random.permutation(len(sizes)), sizes, count, most_bytes)
    first = 0
    with DocumentWriter(sample, DOCUMENT_COLUMNS) as writer:
        for path, group, rows in groups:
            here = chosen[(chosen >= first) & (chosen < first + rows)] - first
            if len(here):
                for batch in _table(path, group).take(here).to_batches(max_chunksize=64):
                    for row in batch.to_pylist():
                        writer.add(row)
            first += rows
    return total


def _within(order: NDArray[np.int64], sizes: NDArray[np.int64], count: int, most_bytes: int) -> NDArray[np.int64]:
    """The first places of an order, at most so many and with at most so many bytes, ascending."""
    order = order[:count]
    reached = np.cumsum(sizes[order])
    return np.sort(order[: max(1, int(np.searchsorted(reached, most_bytes, side="right")))])


def _row_groups(documents: Path) -> list[tuple[Path, int, int]]:
    """File, number and rows of each."""
    found = []
    for path in sorted(documents.glob("documents-*.parquet")):
        with pq.ParquetFile(path) as file:
            found += [
                (path, number, file.metadata.row_group(number).num_rows)
                for number in range(file.metadata.num_row_groups)
            ]
    return found


def _table(path: Path, group: int) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read_row_group(group, columns=DOCUMENT_COLUMNS.names, use_threads=False)


def _column(path: Path, group: int, name: str) -> pa.ChunkedArray[Any]:
    with pq.ParquetFile(path) as file:
        return file.read_row_group(group, columns=[name], use_threads=False).column(name)


def _place(path: str) -> bytes:
    return hashlib.sha256(f"preview/{path}".encode(errors="surrogatepass")).digest()
