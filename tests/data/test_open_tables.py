"""Tables in open files are read in the thread that asks: one that lets go of a Python file at exit aborts."""

from __future__ import annotations

import io
import threading
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loresmith.data.open_tables import batches_of, open_table, read_columns


class Watched(io.BytesIO):
    """A file that remembers which threads asked something of it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.threads: set[int] = set()

    def read(self, *of: Any) -> bytes:
        self.threads.add(threading.get_ident())
        return super().read(*of)

    def seek(self, *to: Any) -> int:
        self.threads.add(threading.get_ident())
        return super().seek(*to)


@pytest.fixture
def file() -> Watched:
    data = io.BytesIO()
    rows = pa.table({"id": [str(n) for n in range(20_000)], "size": range(20_000), "path": ["p"] * 20_000})
    pq.write_table(rows, data, row_group_size=1000)
    return Watched(data.getvalue())


def test_columns_are_read_in_the_thread_that_asks(file: Watched) -> None:
    table = read_columns(file, ["size", "id"])
    assert table.column_names == ["size", "id"]
    assert table["size"].to_pylist() == list(range(20_000))
    assert file.threads == {threading.get_ident()}


def test_batches_are_read_in_the_thread_that_asks_and_in_order(file: Watched) -> None:
    table = open_table(file)
    assert [row["id"] for batch in batches_of(table, ["id"]) for row in batch.to_pylist()] == [
        str(n) for n in range(20_000)
    ]
    assert {name for batch in batches_of(table) for name in batch.schema.names} == {"id", "size", "path"}
    assert max(batch.num_rows for batch in batches_of(table, ["id"], 300)) == 300
    assert file.threads == {threading.get_ident()}


def test_pyarrows_own_scan_asks_in_others(file: Watched) -> None:
    """Else this room has no more reason to be."""
    pq.read_table(file, columns=["id"])
    assert file.threads != {threading.get_ident()}
