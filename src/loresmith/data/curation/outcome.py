"""The last stage: what was decided is carried out, and every document, byte and score is put on record."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from loresmith.data.curation.changing_text import EDIT_COLUMNS
from loresmith.data.curation.decision import Decisions
from loresmith.data.curation.prepared import BREACHES, read_arrow
from loresmith.data.curation.stages import DOCUMENTS, EDITS, Part
from loresmith.data.documents import CORPUS_COLUMNS, DOCUMENT_COLUMNS
from loresmith.data.engine.finished import once
from loresmith.data.media import MEDIA, is_media
from loresmith.data.record_books import BOOK_COLUMNS, RecordBooks
from loresmith.data.tables import BatchWriter
from loresmith.ledger.books import Account, Books, Disposition, Entry

_STRINGS = ("disposition", "reason", "detail", "split", "group", "near", "retain_until")
_DECIDED: list[tuple[str, pa.DataType]] = [
    *((name, pa.string()) for name in _STRINGS),
    ("similarity", pa.float64()),
    ("labels", pa.list_(pa.string())),
    ("uses", pa.list_(pa.string())),
]
DECIDED_COLUMNS = pa.schema(_DECIDED)
"""What was decided of each document; `split` and `group` are empty where it is not kept."""

_SCORE_STRINGS = ("id", "path", "profile", "disposition", "reason", "detail", "language", "group")
_SCORE_FIELDS: list[tuple[str, pa.DataType]] = [
    *((name, pa.string()) for name in _SCORE_STRINGS),
    ("bytes", pa.int64()),
    ("scores", pa.map_(pa.string(), pa.float64())),
    ("flags", pa.list_(pa.string())),
    ("breaches", BREACHES),
    ("near", pa.string()),
    ("similarity", pa.float64()),
]
SCORE_COLUMNS = pa.schema(_SCORE_FIELDS)
"""A row for every document that went in. `bytes` are of the edited text; `near` is the id of the document that it is
near-identical to, or inside, and `similarity` how much of it is the same, from 0 to 1."""

_SEEN = ("id", "path", "profile", "language", "bytes", "scores", "flags", "breaches")
_DECIDED_OF_KEPT = ("labels", "uses", "retain_until", "split", "group")
_TABLES = ("documents", MEDIA)
"""Files of a corpus that are numbered, and that a shard has none of where no row is in them."""
_PARTS = {"books.parquet": BOOK_COLUMNS, "scores.parquet": SCORE_COLUMNS, "edits.parquet": EDIT_COLUMNS}


@dataclass(frozen=True)
class Written:
    """What came of a shard; `media` are its media documents, by media type."""

    folder: Path
    books: Books
    languages: Mapping[str, int]
    profiles: Mapping[str, int]
    media: Mapping[str, int]


def write_decisions(decisions: Decisions, places: Callable[[int], tuple[str, str]], path: Path) -> None:
    """Write down what was decided of all documents, for the workers that carry it out.

    Args:
        places: gives the split and the group of a document by its number; both are empty if it is not kept.
    """
    with pa.OSFile(str(path), "wb") as file, pyarrow.ipc.new_file(file, DECIDED_COLUMNS) as writer:
        for first in range(0, len(decisions), 1 << 14):
            rows = [
                _decided(decisions, number, places) for number in range(first, min(len(decisions), first + (1 << 14)))
            ]
            writer.write_batch(pa.RecordBatch.from_pylist(rows, DECIDED_COLUMNS))


def _decided(decisions: Decisions, number: int, places: Callable[[int], tuple[str, str]]) -> dict[str, Any]:
    fate = decisions.fates[number]
    alike = int(decisions.alike[number])
    split, group = places(number)
    terms = decisions.terms[number]
    return {
        "disposition": fate.disposition,
        "reason": fate.reason,
        "detail": fate.detail,
        "split": split,
        "group": group,
        "near": str(decisions.ids[alike]) if alike >= 0 else "",
        "similarity": float(decisions.similarity[number]) if alike >= 0 else None,
        "labels": sorted(terms.labels),
        "uses": sorted(terms.uses),
        "retain_until": terms.retain_until,
    }


def write_outcome(part: Part, decided: Path) -> Written:
    """Write the documents of a shard that are kept, its books, its scores and its edits.

    Args:
        decided: `DECIDED_COLUMNS` of all documents.
    """

    def make(folder: Path) -> None:
        languages: Counter[str] = Counter()
        profiles: Counter[str] = Counter()
        media_types: Counter[str] = Counter()
        with pa.memory_map(str(decided)) as mapped, RecordBooks(folder) as books:
            fates = pyarrow.ipc.open_file(mapped).read_all().slice(part.shard.first, part.shard.rows)
            with (
                BatchWriter(folder / "documents.parquet", CORPUS_COLUMNS) as documents,
                BatchWriter(folder / f"{MEDIA}.parquet", DOCUMENT_COLUMNS) as media,
                BatchWriter(folder / "scores.parquet", SCORE_COLUMNS) as scores,
            ):
                done = 0
                for batch in read_arrow(part.folder / DOCUMENTS):
                    here = fates.slice(done, batch.num_rows).combine_chunks().to_batches()[0]
                    done += batch.num_rows
                    _enter(books, batch, here)
                    scores.add(_scores(batch, here))
                    kept, pictures = _kept(batch, here, CORPUS_COLUMNS, ""), _kept(batch, here, DOCUMENT_COLUMNS, MEDIA)
                    documents.add(kept)
                    media.add(pictures)
                    media_types.update(str(row["media_type"]) for row in pictures.select(["media_type"]).to_pylist())
                    profiles.update(
                        str(row["profile"])
                        for row in batch.select(["profile", "ingested_bytes", "media_type"]).to_pylist()
                        if not is_media(row["ingested_bytes"], row["media_type"])
                    )
                    for row in kept.select(["language", "bytes"]).to_pylist():
                        languages[row["language"]] += row["bytes"]
            accounts = books.accounts()
        with BatchWriter(folder / "edits.parquet", EDIT_COLUMNS) as edits:
            for batch in read_arrow(part.folder / EDITS):
                edits.add(batch)
        counted = {
            "books": accounts.model_dump(mode="json"),
            "languages": languages,
            "profiles": profiles,
            "media": media_types,
        }
        (folder / "counts.json").write_text(json.dumps(counted, sort_keys=True))

    folder = once(part.to, make)
    counted = json.loads((folder / "counts.json").read_text())
    books_ = Books.model_validate(counted["books"])
    return Written(folder, books_, counted["languages"], counted["profiles"], counted["media"])


def _enter(books: RecordBooks, batch: pa.RecordBatch, fates: pa.RecordBatch) -> None:
    told = zip(
        batch.select(["id", "path", "ingested_bytes", "gone"]).to_pylist(),
        fates.select(["disposition", "reason", "detail"]).to_pylist(),
        strict=True,
    )
    for row, fate in told:
        gone = row["gone"] if fate["disposition"] == "kept" else []
        rest = row["ingested_bytes"] - sum(piece["bytes"] for piece in gone)
        books.enter(records=1, bytes_=row["ingested_bytes"])
        books.leave(row["id"], row["path"], fate["disposition"], rest, fate["reason"], fate["detail"])
        for piece in gone:
            books.part(piece["disposition"], piece["bytes"], piece["reason"])


def _scores(batch: pa.RecordBatch, fates: pa.RecordBatch) -> pa.RecordBatch:
    columns = {name: batch.column(name) for name in _SEEN}
    columns |= {name: fates.column(name) for name in SCORE_COLUMNS.names if name not in columns}
    return pa.record_batch([columns[name] for name in SCORE_COLUMNS.names], schema=SCORE_COLUMNS)


def _kept(batch: pa.RecordBatch, fates: pa.RecordBatch, columns: pa.Schema, reason: str) -> pa.RecordBatch:
    """What is kept for a reason, with these columns; without one, as text."""
    decided = {name: fates.column(name) for name in _DECIDED_OF_KEPT}
    values = [decided[name] if name in decided else batch.column(name) for name in columns.names]
    fate = zip(fates.column("disposition").to_pylist(), fates.column("reason").to_pylist(), strict=True)
    kept = pa.array([each == ("kept", reason) for each in fate], pa.bool_())
    return pa.record_batch(values, schema=columns).filter(kept)


def put_together(parts: Sequence[Written], corpus: Path) -> None:
    """Put what came of all shards into the folder of the corpus. What was in it before is replaced.

    A shard of which nothing is kept has no file of documents, and one without media none of them; without an edit there
    are no edits.
    """
    for left_over in corpus.iterdir():
        left_over.unlink()
    for table in _TABLES:
        with_rows = [file for part in parts if pq.read_metadata(file := part.folder / f"{table}.parquet").num_rows]
        for number, file in enumerate(with_rows):
            _place(file, corpus / f"{table}-{number:05d}.parquet")
    for name, schema in _PARTS.items():
        if name == "edits.parquet" and not any(pq.read_metadata(part.folder / name).num_rows for part in parts):
            continue
        with BatchWriter(corpus / name, schema) as writer:
            for batch in _batches(part.folder / name for part in parts):
                writer.add(batch)


def _place(file: Path, target: Path) -> None:
    """Put a file in a second place as well, as cheaply as the file system allows."""
    try:
        target.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, target)


def _batches(paths: Iterable[Path]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            yield from file.iter_batches(4096, use_threads=False)


def added_up(books: Sequence[Books]) -> Books:
    """The accounts of all shards as one."""
    entered: Counter[str] = Counter()
    left: dict[str, Counter[tuple[Disposition, str]]] = {}
    for account in (account for each in books for account in each.accounts):
        entered[account.unit] += account.entered
        entries = {(entry.disposition, entry.reason): entry.count for entry in account.left}
        left.setdefault(account.unit, Counter()).update(entries)
    return Books(
        accounts=tuple(
            Account(
                unit=unit,
                entered=entered[unit],
                left=tuple(
                    Entry(disposition=disposition, reason=reason, count=count)
                    for (disposition, reason), count in sorted(entries.items())
                ),
            )
            for unit, entries in left.items()
        )
    )
