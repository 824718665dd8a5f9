"""Files to documents: what is read is kept as it is, and every record in it becomes a document or is quarantined."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from loresmith.data.decoding import UndecodableError
from loresmith.data.documents import DOCUMENT_COLUMNS, DocumentWriter
from loresmith.data.file_types import FileType, file_type
from loresmith.data.fingerprint import ContentDigest, raw_digest
from loresmith.data.globs import glob_regex
from loresmith.data.observer import Observer, safe_point
from loresmith.data.raw_files import RawFile, UnreadFile, read_raw
from loresmith.data.readers.record import ReadingRules, Record, Refused
from loresmith.data.record_books import RecordBooks
from loresmith.data.scan import scan
from loresmith.errors import UserError
from loresmith.ledger.books import Books


@dataclass(frozen=True)
class Selection:
    """Which files: places, patterns as `globs` explains them, and the size beyond which a file is not read."""

    places: Sequence[Path]
    include: Sequence[str]
    exclude: Sequence[str]
    max_file_bytes: int


@dataclass(frozen=True)
class Rights:
    """What may be done with the documents.

    Attributes:
        licence: of all of them.
        labels: access labels of all of them.
        label_rules: labels that files matching a pattern get on top.
    """

    licence: str = ""
    labels: Sequence[str] = ()
    label_rules: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def _rules(self) -> list[tuple[re.Pattern[str], Sequence[str]]]:
        return [(glob_regex([pattern]), labels) for pattern, labels in self.label_rules.items()]

    def labels_of(self, path: str) -> list[str]:
        """All labels of what a file holds, sorted."""
        ruled = (label for pattern, labels in self._rules if pattern.fullmatch(path) for label in labels)
        return sorted({*self.labels, *ruled})


@dataclass
class Ingested:
    """What came of it: the books, the fingerprint of what was read, and what is in the outputs.

    A file that gave no document is in the snapshot with its labels: `source_labels` may be more than `labels`.
    """

    books: Books = field(default_factory=Books)
    content: str = ""
    files: int = 0
    file_bytes: int = 0
    documents: int = 0
    text_bytes: int = 0
    labels: set[str] = field(default_factory=set)
    source_labels: set[str] = field(default_factory=set)
    media_types: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)


def ingest(
    selection: Selection, rules: ReadingRules, rights: Rights, source: Path, documents: Path, observer: Observer
) -> Ingested:
    """Read files into a `source` snapshot and a `documents` table.

    The books count documents (a file, or a line of JSON Lines) and bytes as read. What turns out to be no text is
    quarantined, and is in the snapshot like everything that was read.

    Args:
        source: empty folder; gets files/<path> and listing.jsonl.
        documents: empty folder; gets documents-*.parquet and books.parquet.

    Raises:
        UserError: a place is missing, nothing matches, or no file gave a document.
    """
    entries = scan(selection.places, selection.include, selection.exclude)
    content = ContentDigest()
    result = Ingested()
    (source / "files").mkdir()
    with (
        (source / "listing.jsonl").open("w", encoding="utf-8") as listing,
        DocumentWriter(documents, DOCUMENT_COLUMNS) as writer,
        RecordBooks(documents) as books,
    ):
        for done, entry in enumerate(entries):
            if done % 64 == 0:
                safe_point(observer, done, len(entries), "files")
            raw = read_raw(entry, selection.max_file_bytes)
            digest = raw_digest(raw)
            content.add(entry.path, raw, digest)
            books.enter(bytes_=raw.size)
            kind = file_type(entry.path)
            labels = rights.labels_of(entry.path)
            collected_at = ""
            if isinstance(raw, RawFile):
                collected_at = _timestamp(raw.modified)
                listing.write(keep_file(source, entry.path, raw, digest, kind.media_type))
                result.files += 1
                result.file_bytes += raw.size
                result.source_labels.update(labels)
            for record in _records(raw, kind, rules):
                books.enter(records=1)
                path = entry.path + record.anchor
                id_ = document_id(path, digest)
                if isinstance(record, Refused):
                    books.leave(id_, path, "quarantined", record.bytes, record.reason, record.detail)
                    result.quarantined[record.reason] += 1
                else:
                    books.leave(id_, path, "kept", record.bytes)
                    row = {
                        "id": id_,
                        "path": path,
                        "text": record.text,
                        "bytes": len(record.text.encode()),
                        "media_type": kind.media_type,
                        "language": kind.language,
                        "licence": rights.licence,
                        "labels": labels,
                        "collected_at": collected_at,
                        "metadata": record.metadata,
                    }
                    writer.add(row)
                    _count(result, row)
        observer.progress(len(entries), len(entries), "files")
    if not result.documents:
        raise UserError(
            f"none of the {len(entries)} files that match gave a document: "
            + ", ".join(f"{count} {reason}" for reason, count in result.quarantined.most_common()),
            where=", ".join(map(str, selection.places)),
            hint="change include or exclude, max_file_bytes, encodings or text_field",
        )
    result.books, result.content = books.accounts(), content.hexdigest()
    return result


def document_id(path: str, digest: str) -> str:
    """What names a document: 32 hexadecimal digits, from its path and the digest of the file it was read from."""
    return hashlib.sha256(f"{path}\n{digest}".encode()).hexdigest()[:32]


def keep_file(source: Path, path: str, raw: RawFile, digest: str, media_type: str) -> str:
    """Keep a file's bytes as they were read; returns its line of the listing."""
    target = source / "files" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(raw.data)
    row = {"path": path, "bytes": raw.size, "sha256": digest, "media_type": media_type}
    return json.dumps(row, ensure_ascii=False) + "\n"


def _records(raw: RawFile | UnreadFile, kind: FileType, rules: ReadingRules) -> Iterator[Record | Refused]:
    """The records of a file; at least one, since a file that gives none is refused as a whole."""
    if isinstance(raw, UnreadFile):
        yield Refused(raw.reason, raw.detail, raw.size)
        return
    if not raw.data:
        yield Refused("empty", "", 0)
        return
    try:
        for record in kind.read(raw.data, rules):
            if isinstance(record, Record) and not record.text.strip():
                yield Refused("empty", "no text in it", record.bytes, record.anchor)
            else:
                yield record
    except UndecodableError as error:
        yield Refused("undecodable", str(error), raw.size)


def _count(result: Ingested, row: Mapping[str, Any]) -> None:
    result.documents += 1
    result.text_bytes += row["bytes"]
    result.labels.update(row["labels"])
    result.media_types[row["media_type"]] += 1
    result.languages[row["language"]] += 1


def _timestamp(seconds: float) -> str:
    """ISO 8601 in UTC; empty for the times that file systems hold and calendars do not."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
