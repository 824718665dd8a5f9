"""The documents of a shard dealt out to the files of the corpus, and written down in the books."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from numpy.typing import NDArray

from loresmith.data.documents import CORPUS_COLUMNS
from loresmith.data.engine.finished import once
from loresmith.data.engine.rows import Rows
from loresmith.data.engine.shards import read_shard
from loresmith.data.engine.sorting import read_rows_of
from loresmith.data.mixture.joining import JOINED, joined_terms
from loresmith.data.mixture.settings import MixtureRules
from loresmith.data.mixture.standing import Standing
from loresmith.data.mixture.survey import IN_NONE, THERE_ALREADY, GroupNames, Part
from loresmith.data.mixture.terms import COLUMNS, OWN
from loresmith.data.record_books import RecordBooks
from loresmith.data.shards import SPLITS
from loresmith.ledger.books import Books

MIXED_COLUMNS = pa.schema([*CORPUS_COLUMNS, ("source", pa.string()), ("repeat", pa.int32())])
"""As `CORPUS_COLUMNS`; `source` is the source that the document was drawn of, `repeat` how often it was drawn before.
A document that is drawn n times has n rows, with one id."""

SLOTTED_COLUMNS = pa.schema([*MIXED_COLUMNS, ("slot", pa.int64())])

BOOKS, ACCOUNTS = "books.parquet", "accounts.json"
_ROWS, _INDEX = "rows.arrow", "index.npy"


@dataclass(frozen=True)
class Files:
    """The files of the corpus: the place of the first document of each, and the one behind the last of all."""

    firsts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.firsts) - 1

    def holding(self, slots: NDArray[Any]) -> NDArray[np.intp]:
        """Which file each place is in."""
        return np.searchsorted(np.array(self.firsts, dtype=np.uint64), slots.astype(np.uint64), side="right") - 1


@dataclass(frozen=True)
class Dealing:
    """What the dealing of all shards goes by.

    Attributes:
        parts: of all corpora.
        joined: a file of `JOINED`.
        standing: where documents stand.
        memory: bytes of text that are dealt out at a time.
    """

    parts: tuple[Part, ...]
    joined: Path
    standing: Path
    files: Files
    memory: int


def deal(part: Part, dealing: Dealing) -> Books:
    """Put the documents of a shard that are in the corpus in batches, one after the other of each file."""
    rules = part.rules

    def make(folder: Path) -> None:
        standing, names = Standing(dealing.standing), GroupNames(dealing.parts)
        terms = joined_terms(dealing.joined)
        number = part.shard.first
        with RecordBooks(folder) as books, _Dealt(folder, dealing) as dealt:
            for batch in read_shard(part.shard, CORPUS_COLUMNS.names):
                (found,) = read_rows_of(dealing.joined, JOINED, number, number + batch.num_rows)
                standings = standing.of(number, batch.num_rows)
                places = standings["key"].astype(np.int64) - number
                counts = np.bincount(places, minlength=batch.num_rows)
                for row, one, drawn in zip(
                    batch.select(["id", "path", "bytes"]).to_pylist(), found, counts.tolist(), strict=True
                ):
                    _enter(row, one, drawn, books, rules)
                batch = _on_terms_of_all(batch, found, terms)
                dealt.add(_with_own_columns(batch, found, number, names, rules), places, standings)
                number += batch.num_rows
            accounts = books.accounts()
        (folder / ACCOUNTS).write_text(accounts.model_dump_json())

    folder = once(dealt_to(part), make)
    return Books.model_validate_json((folder / ACCOUNTS).read_text())


def dealt_to(part: Part) -> Path:
    return part.folder / "dealt" / part.name


def dealt_out(part: Part, file: int) -> Iterator[pa.RecordBatch]:
    """What a shard has of a file of the corpus, under `SLOTTED_COLUMNS`."""
    index = np.load(dealt_to(part) / _INDEX, allow_pickle=False)
    with pa.memory_map(str(dealt_to(part) / _ROWS)) as mapped:
        reader = pyarrow.ipc.open_file(mapped)
        for number in np.flatnonzero(index == file).tolist():
            yield reader.get_batch(number)


class _Dealt:
    """The batches of a shard. A context manager."""

    def __init__(self, folder: Path, dealing: Dealing) -> None:
        options = pyarrow.ipc.IpcWriteOptions(compression="lz4")
        self._index = folder / _INDEX
        self._file = pa.OSFile(str(folder / _ROWS), "wb")
        self._writer = pyarrow.ipc.new_file(self._file, SLOTTED_COLUMNS, options=options)
        self._dealing = dealing
        self._files: list[int] = []
        self._rows: list[pa.RecordBatch] = []
        self._places: list[NDArray[np.int64]] = []
        self._standings: list[Rows] = []
        self._documents = self._bytes = 0

    def add(self, rows: pa.RecordBatch, places: NDArray[np.int64], standings: Rows) -> None:
        """Add documents; `places` says of which row each of the standings is."""
        self._rows.append(rows)
        self._places.append(self._documents + places)
        self._standings.append(standings)
        self._documents += rows.num_rows
        self._bytes += int(np.asarray(rows["bytes"]).sum())
        if self._bytes >= self._dealing.memory:
            self._flush()

    def __enter__(self) -> _Dealt:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
            np.save(self._index, np.array(self._files, dtype=np.int64), allow_pickle=False)
        self._writer.close()
        self._file.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        table = pa.Table.from_batches(self._rows)
        places, standings = np.concatenate(self._places), np.concatenate(self._standings)
        files = self._dealing.files.holding(standings["slot"])
        order = np.lexsort((standings["slot"], files))
        ends = np.cumsum(standings["size"][order])
        start = 0
        while start < len(order):
            file = int(files[order[start]])
            end = int(np.searchsorted(files[order], file, side="right"))
            before = int(ends[start - 1]) if start else 0
            end = min(end, max(start + 1, int(np.searchsorted(ends, before + self._dealing.memory))))
            some = order[start:end]
            self._write(file, table.take(pa.array(places[some], pa.int64())), standings[some])
            start = end
        self._rows, self._places, self._standings, self._documents, self._bytes = [], [], [], 0, 0

    def _write(self, file: int, rows: pa.Table, standings: Rows) -> None:
        columns: dict[str, pa.Array[Any]] = {
            "repeat": pa.array(standings["repeat"].copy(), pa.int32()),
            "slot": pa.array(standings["slot"].astype(np.int64)),
        }
        (batch,) = rows.combine_chunks().to_batches()
        arrays = [columns[name] if name in columns else batch.column(name) for name in SLOTTED_COLUMNS.names]
        self._writer.write_batch(pa.record_batch(arrays, schema=SLOTTED_COLUMNS))
        self._files.append(file)


def _enter(row: Mapping[str, Any], found: Any, drawn: int, books: RecordBooks, rules: MixtureRules) -> None:
    """Write down what becomes of a document."""
    id_, path, size = row["id"], row["path"], row["bytes"]
    source, side = int(found["source"]), SPLITS[int(found["side"])]
    books.enter(records=1, bytes_=size)
    if source == THERE_ALREADY:
        books.leave(id_, path, "merged", size, "there already", "a document of this id stands before")
    elif source == IN_NONE:
        books.leave(id_, path, "dropped", size, "in no source")
    elif side == "train" and not drawn:
        books.leave(id_, path, "dropped", size, "not drawn", f"of {rules.sources[source].name}")
    else:
        held_out = bool(found["moved"])
        reason = f"moved to {side}" if held_out else ""
        detail = "near-identical to a held-out document of another corpus" if held_out else ""
        times = f", {drawn} times" if drawn > 1 else ""
        books.leave(id_, path, "kept", size, reason, detail or f"of {rules.sources[source].name}{times}")


def _on_terms_of_all(batch: pa.RecordBatch, found: Rows, terms: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """The documents, those that are in several corpora on the terms of all of them."""
    if (found["terms"] == OWN).all():
        return batch
    held = [None if number == OWN else terms[number] for number in found["terms"].tolist()]
    for name in COLUMNS:
        column = [
            own if of_all is None else of_all[name] for own, of_all in zip(batch[name].to_pylist(), held, strict=True)
        ]
        field = batch.schema.field(name)
        batch = batch.set_column(batch.schema.get_field_index(name), field, pa.array(column, field.type))
    return batch


def _with_own_columns(
    batch: pa.RecordBatch, found: Rows, first: int, names: GroupNames, rules: MixtureRules
) -> pa.RecordBatch:
    """The documents with their side and group in the mixture, and their source."""
    groups = [
        group if named == number else names[named]
        for number, (group, named) in enumerate(
            zip(batch["group"].to_pylist(), found["named"].tolist(), strict=True), first
        )
    ]
    new: dict[str, pa.Array[Any]] = {
        "split": pa.array([SPLITS[side] for side in found["side"].tolist()], pa.string()),
        "group": pa.array(groups, pa.string()),
        "source": pa.array([rules.sources[n].name if n >= 0 else "" for n in found["source"].tolist()], pa.string()),
    }
    names_ = [name for name in MIXED_COLUMNS.names if name != "repeat"]
    columns = [new[name] if name in new else batch[name] for name in names_]
    return pa.record_batch(columns, schema=pa.schema([MIXED_COLUMNS.field(name) for name in names_]))
