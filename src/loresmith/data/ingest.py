"""Files to documents: what is read is kept as it is, and every record in it becomes a document or is quarantined."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loresmith.data.documents import DOCUMENT_COLUMNS, DocumentWriter
from loresmith.data.fingerprint import ContentDigest
from loresmith.data.observer import Observer, safe_point
from loresmith.data.path_names import path_name
from loresmith.data.readers.record import ReadingRules, Record, Refused
from loresmith.data.reading.limits import Limits
from loresmith.data.reading.memory import Extractions, KnownFiles
from loresmith.data.reading.pool import ReadingPool
from loresmith.data.reading.sources import LocalFile, RemoteFile, SourceFile, with_metadata
from loresmith.data.reading.units import Place, ReadFile, UnitReader
from loresmith.data.record_books import RecordBooks
from loresmith.data.remote_places import remote_entries
from loresmith.data.rights import Rights
from loresmith.data.scan import scan
from loresmith.errors import UserError
from loresmith.ledger.books import Books


@dataclass(frozen=True)
class Selection:
    """Which files.

    Attributes:
        places: folders and files of this machine, and URLs.
        include, exclude: patterns, as `globs` explains them.
        max_file_bytes: a larger file is not read.
        allow_http: whether places on the web may be read.
    """

    places: Sequence[Path | str]
    include: Sequence[str]
    exclude: Sequence[str]
    max_file_bytes: int
    allow_http: bool = False

    def files(self) -> list[SourceFile]:
        """All of them, sorted by path; with several places, paths begin with the name of theirs.

        Raises:
            UserError: a place is missing, two have the same name, or nothing matches.
            Failure: a URL cannot be listed.
        """
        remote = [place for place in self.places if isinstance(place, str)]
        local = [place for place in self.places if isinstance(place, Path)]
        several = len(self.places) > 1
        names = [Path(os.path.realpath(place)).name for place in local]
        names += [path_name(url.rstrip("/").rpartition("/")[2]) for url in remote]
        if remote and len(set(names)) < len(names):
            raise UserError(
                f"two of the places have the same name: {', '.join(map(str, self.places))}",
                hint="ingest them in steps of their own",
            )
        files: list[SourceFile] = []
        if local:
            top = f"{names[0]}/" if several and len(local) == 1 else ""  # of several, `scan` says it
            entries = scan(local, self.include, self.exclude)
            files += (LocalFile(replace(entry, path=top + entry.path)) for entry in entries)
        for url, name in zip(remote, names[len(local) :], strict=True):
            top = f"{name}/" if several else ""
            found = remote_entries(url, self.include, self.exclude, allow_http=self.allow_http)
            files += (RemoteFile(top + entry.path, entry, url) for entry in found)
        return sorted(files, key=lambda file: file.path)


@dataclass
class Ingested:
    """What came of it: the books, the fingerprint of what was read, and what is in the outputs.

    A file that gave no document is in the snapshot with its labels: `source_labels` may be more than `labels`. Of the
    `files`, `read` were read anew and the others known to be as they were; `extracted` counts those that went through a
    reader, files in files included.
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
    read: int = 0
    extracted: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)

    def count(self, row: Mapping[str, Any]) -> None:
        """Count a document."""
        self.documents += 1
        self.text_bytes += row["bytes"]
        self.labels.update(row["labels"])
        self.media_types[row["media_type"]] += 1
        self.languages[row["language"]] += 1


@dataclass(frozen=True)
class Workplace:
    """What reading works with, besides what it reads.

    Attributes:
        cache: a folder in which it is remembered what files were and what reading them gave; None: nothing is.
        spool: a folder for what is in archives; emptied at the end.
        place: finds a file's bytes where they are held already.
        limits: of reading one file.
    """

    spool: Path
    cache: Path | None = None
    place: Place = lambda _sha256, _target: False
    limits: Limits = field(default_factory=Limits)


def ingest(
    files: Iterable[SourceFile],
    max_file_bytes: int,
    rules: ReadingRules,
    rights: Rights,
    source: Path,
    documents: Path,
    workplace: Workplace,
    observer: Observer,
) -> Ingested:
    """Read files into a `source` snapshot and a `documents` table.

    The books count documents (a file, or a record in one) and bytes as read; the files in an archive count as files of
    their own, in bytes as unpacked. What turns out to be no text is quarantined, and is in the snapshot like everything
    that was read.

    Args:
        files: what to read, in an order that never changes.
        max_file_bytes: a larger file is not read.
        source: empty folder; gets files/<path> and listing.jsonl.
        documents: empty folder; gets documents-*.parquet and books.parquet.

    Raises:
        UserError: no file gave a document.
    """
    total = len(files) if isinstance(files, Sized) else None
    content = ContentDigest()
    result = Ingested()
    (source / "files").mkdir()
    shutil.rmtree(workplace.spool, ignore_errors=True)
    workplace.spool.mkdir(parents=True)
    begun = 0

    def tick() -> None:
        safe_point(observer, begun, total, "files")

    with (
        (source / "listing.jsonl").open("w", encoding="utf-8") as listing,
        DocumentWriter(documents, DOCUMENT_COLUMNS) as writer,
        RecordBooks(documents) as books,
        KnownFiles(workplace.cache) as known,
        ReadingPool(observer.threads, rules, workplace.limits, workplace.spool) as pool,
    ):
        extractions = Extractions(workplace.cache, rules)
        reader = UnitReader(
            rules,
            workplace.limits,
            source / "files",
            max_file_bytes,
            known,
            extractions,
            workplace.place,
            pool,
            tick,
            ahead=4 * observer.threads,
        )
        for unit in reader.units(files):
            if not unit.inside:
                if begun % 64 == 0:
                    tick()
                begun += 1
                content.add(unit.path, unit.unread, unit.size, unit.sha256)
                if not unit.unread:
                    listing.write(_listed(unit))
                    result.files += 1
                    result.file_bytes += unit.size
                    result.source_labels.update(rights.labels_of(unit.path))
            _enter(unit, rights, books, writer, result)
        observer.progress(begun, begun, "files")
    shutil.rmtree(workplace.spool)
    extractions.remove_unused()
    if not begun:
        raise UserError("there is no file that matches include and exclude")
    if not result.documents:
        raise UserError(
            f"none of the {begun} files that match gave a document: "
            + ", ".join(f"{count} {reason}" for reason, count in result.quarantined.most_common()),
            hint="change include or exclude, max_file_bytes, encodings or text_field",
        )
    result.read, result.extracted = reader.read, reader.extracted
    result.books, result.content = books.accounts(), content.hexdigest()
    return result


def _enter(unit: ReadFile, rights: Rights, books: RecordBooks, writer: DocumentWriter, result: Ingested) -> None:
    """Put what a file gave into the table and the books."""
    books.enter(bytes_=unit.size)
    labels = rights.labels_of(unit.path)
    accounted = 0
    for record in unit.extraction.records():
        books.enter(records=1)
        accounted += record.bytes
        path = unit.path + record.anchor
        id_ = document_id(path, unit.sha256)
        if isinstance(record, Refused):
            books.leave(id_, path, "quarantined", record.bytes, record.reason, record.detail)
            result.quarantined[record.reason] += 1
            continue
        books.leave(id_, path, "kept", record.bytes)
        modified = timestamp(unit.modified) if unit.modified is not None else ""
        known = {
            "media_type": unit.extraction.media_type,
            "language": unit.extraction.language,
            "collected_at": modified,
        }
        row = document_row(record, rights, labels, {**known, "id": id_, "path": path})
        writer.add({**row, "metadata": with_metadata(record.metadata, unit.metadata)})
        result.count(row)
    members = len(unit.extraction.members)
    if members or accounted == 0 < unit.size:  # an archive, of whose files perhaps none could be unpacked
        books.enter(records=1)
        id_ = document_id(unit.path, unit.sha256)
        detail = "1 file in it" if members == 1 else f"{members} files in it"
        books.leave(id_, unit.path, "unpacked", unit.size - accounted, "", detail)


def document_row(record: Record, rights: Rights, labels: Sequence[str], known: Mapping[str, str]) -> dict[str, Any]:
    """A document's row (`DOCUMENT_COLUMNS`).

    Args:
        labels: of its file.
        known: `id`, `path` and `collected_at`; `media_type` and `language` where the record does not say.
    """
    return {
        **known,
        "text": record.text,
        "bytes": len(record.text.encode()),
        "media_type": record.media_type or known["media_type"],
        "language": record.language or known["language"],
        "licence": rights.licence,
        "labels": sorted({*labels, *record.labels}),
        "metadata": record.metadata,
        "owner": rights.owner,
        "uses": sorted(rights.uses),
        "retain_until": rights.retain_until,
        "source_start": record.start,
        "source_bytes": record.bytes,
        "pages": list(_pages(record)),
    }


def _pages(record: Record) -> Iterator[dict[str, int]]:
    """Where pages begin, in bytes of UTF-8 instead of characters."""
    at = behind = 0
    for number, start in record.pages:
        behind += len(record.text[at:start].encode())
        at = start
        yield {"number": number, "start": behind}


def _listed(unit: ReadFile) -> str:
    row = {
        "path": unit.path,
        "bytes": unit.size,
        "sha256": unit.sha256,
        "media_type": unit.extraction.media_type,
        "modified": timestamp(unit.modified) if unit.modified is not None else "",
    }
    return json.dumps(row, ensure_ascii=False) + "\n"


def document_id(path: str, digest: str) -> str:
    """What names a document: 32 hexadecimal digits, from its path and the digest of the file it was read from."""
    return hashlib.sha256(f"{path}\n{digest}".encode()).hexdigest()[:32]


def timestamp(seconds: float) -> str:
    """ISO 8601 in UTC; empty for the times that file systems hold and calendars do not."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
