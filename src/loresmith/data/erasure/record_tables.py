"""Tables of records, looked through for documents by their ids, their paths and their texts, a batch at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from loresmith.data.open_tables import batches_of, open_table
from loresmith.errors import Failure

_BATCH_ROWS = 1024
SHORTEST_PREFIX = 8
"""Characters of an id by which a document may be named."""


class NamedRecord(NamedTuple):
    """What a table calls a record."""

    id: str
    path: str


class RecordText(NamedTuple):
    """A record's text, and by what it is known again."""

    id: str
    text: str
    digest: str


class RecordTable:
    """A Parquet file whose rows are documents, conversations or lines of books about them.

    Args:
        file: open for reading; it must be seekable.
        called: what a message calls it.

    Raises:
        Failure: it cannot be read.
    """

    def __init__(self, file: BinaryIO, called: str) -> None:
        self._called = called
        try:
            self._table = open_table(file)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error
        self._columns = set(self._table.schema_arrow.names)

    @property
    def names_records(self) -> bool:
        """Whether its rows have ids and paths."""
        return {"id", "path"} <= self._columns

    @property
    def has_texts(self) -> bool:
        """Whether its rows have what the records say."""
        return self.names_records and bool(self._columns & {"text", "messages"})

    def records(self) -> Iterator[NamedRecord]:
        """All of them."""
        for batch in self._batches(["id", "path"]):
            yield from _named(batch)

    def by_id(self, id_: str) -> Iterator[NamedRecord]:
        """The records with this id, or with one that begins so."""
        for batch in self._batches(["id", "path"]):
            mask = (
                pc.starts_with(batch["id"], id_)
                if len(id_) >= SHORTEST_PREFIX
                else pc.equal(batch["id"], pa.scalar(id_))
            )
            yield from _named(batch.filter(mask))

    def by_path(self, path: str) -> Iterator[NamedRecord]:
        """The records at this path, and those in the file that lies there."""
        for batch in self._batches(["id", "path"]):
            paths = batch["path"]
            inside = pc.or_(pc.starts_with(paths, f"{path}#"), pc.starts_with(paths, f"{path}!/"))
            yield from _named(batch.filter(pc.or_(pc.equal(paths, pa.scalar(path)), inside)))

    def holds(self, ids: Collection[str]) -> set[str]:
        """Which of these ids it has."""
        wanted = frozenset(ids)
        return {id_ for batch in self._batches(["id"]) for id_ in batch["id"].to_pylist() if id_ in wanted}

    def texts(self, ids: Collection[str]) -> Iterator[RecordText]:
        """What the records of these ids say."""
        wanted = pa.array(sorted(ids), pa.string())
        for batch in self._batches(self._text_columns):
            yield from _texts(batch.filter(pc.is_in(batch["id"], value_set=wanted)))

    def ids_of_texts(self, digests: Collection[str]) -> set[str]:
        """The ids of the records that say just this."""
        wanted = frozenset(digests)
        if "text" not in self._columns:
            rows = (record for batch in self._batches(self._text_columns) for record in _texts(batch))
            return {record.id for record in rows if record.digest in wanted}
        found: set[str] = set()
        for batch in self._batches(["id", "text"]):
            for number, text in enumerate(batch["text"]):
                if hashlib.sha256(text.as_buffer() or b"").hexdigest() in wanted:
                    found.add(batch["id"][number].as_py())
        return found

    @property
    def _text_columns(self) -> list[str]:
        return ["id", "text"] if "text" in self._columns else ["id", "messages", "group"]

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        try:
            yield from batches_of(self._table, columns, _BATCH_ROWS)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> Failure:
        return Failure(
            f"this table cannot be read: {error}",
            where=self._called,
            hint="`loresmith assets verify` names what is damaged; what is in a table that cannot be read is not known",
        )


def _named(batch: pa.RecordBatch) -> Iterator[NamedRecord]:
    for row in batch.to_pylist():
        yield NamedRecord(row["id"], row["path"])


def _texts(batch: pa.RecordBatch) -> Iterator[RecordText]:
    rows: list[dict[str, Any]] = batch.to_pylist()
    for row in rows:
        if "text" in row:
            digest = hashlib.sha256(row["text"].encode()).hexdigest() if row["text"] else ""
            yield RecordText(row["id"], row["text"], digest)
        else:
            yield RecordText(row["id"], row["messages"], row["group"])
