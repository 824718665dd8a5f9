"""Files to documents: what is read is kept as it is, and every record in it becomes a document or is quarantined."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path

from loresmith.data.document_row import document_id, document_row, text_digest, timestamp
from loresmith.data.documents import DOCUMENT_COLUMNS, DocumentWriter
from loresmith.data.fingerprint import ContentDigest
from loresmith.data.globs import glob_regex
from loresmith.data.ingested import Ingested
from loresmith.data.observer import Observer, safe_point
from loresmith.data.path_names import path_name
from loresmith.data.readers.record import ReadingRules, Refused
from loresmith.data.reading.limits import Limits
from loresmith.data.reading.memory import MOST_BYTES, Extractions, KnownFiles
from loresmith.data.reading.pool import ReadingPool
from loresmith.data.reading.sources import LocalFile, RemoteFile, SourceFile, with_metadata
from loresmith.data.reading.units import Place, ReadFile, UnitReader
from loresmith.data.record_books import RecordBooks
from loresmith.data.remote_places import hidden, last_name, remote_entries
from loresmith.data.rights import Rights
from loresmith.data.scan import scan
from loresmith.errors import UserError


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

    def wanted(self) -> Callable[[str], bool]:
        """Says whether the patterns want a file of a path below its place."""
        included, excluded = glob_regex(self.include), glob_regex(self.exclude)
        return lambda path: included.fullmatch(path) is not None and excluded.fullmatch(path) is None

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
        names += [path_name(last_name(url)) for url in remote]
        if remote and len(set(names)) < len(names):
            raise UserError(
                f"two of the places have the same name: {', '.join(hidden(str(place)) for place in self.places)}",
                hint="ingest them in steps of their own",
            )
        files: list[SourceFile] = []
        if local:
            top = f"{names[0]}/" if several and len(local) == 1 else ""  # of several, `scan` says it
            entries = scan(local, self.include, self.exclude)
            files += (
                LocalFile(replace(entry, path=top + entry.path, target=entry.target and top + entry.target))
                for entry in entries
            )
        for url, name in zip(remote, names[len(local) :], strict=True):
            top = f"{name}/" if several else ""
            found = remote_entries(url, self.include, self.exclude, allow_http=self.allow_http)
            files += (RemoteFile(top + entry.path, entry, url) for entry in found)
        return sorted(files, key=lambda file: file.path)


@dataclass(frozen=True)
class Workplace:
    """What reading works with, besides what it reads.

    Attributes:
        cache: a folder in which it is remembered what files were and what reading them gave; None: nothing is.
        spool: a folder for what is in archives; emptied at the end.
        place: finds a file's bytes where they are held already.
        limits: of reading one file.
        erased: what is left out: ids of documents, and sha256 of texts and of files.
        cache_bytes: what the cache may take.
    """

    spool: Path
    cache: Path | None = None
    place: Place = lambda _sha256, _target: False
    limits: Limits = field(default_factory=Limits)
    erased: AbstractSet[str] = frozenset()
    cache_bytes: int = MOST_BYTES


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
    that was read. A file is not in it that holds anything of what was once erased.

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
        Extractions(workplace.cache, rules, workplace.erased, workplace.cache_bytes) as extractions,
        ReadingPool(observer.threads, rules, workplace.limits, workplace.spool) as pool,
    ):
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
            erased=workplace.erased,
        )
        for file in _with_what_is_inside(reader.units(files)):
            if begun % 64 == 0:
                tick()
            begun += 1
            top = next(file)
            if top.sha256 not in workplace.erased:
                content.add(top.path, top.unread, top.size, top.sha256, rights.links.get(top.path, ""))
            erased_before = result.erased
            for unit in itertools.chain((top,), file):
                _enter(unit, rights, books, writer, result, workplace.erased)
            if result.erased > erased_before:
                (source / "files" / top.path).unlink(missing_ok=True)
            elif not top.unread:
                listing.write(_listed(top, rights.links.get(top.path, "")))
                result.files += 1
                result.file_bytes += top.size
                result.source_labels.update(rights.of(top.path).labels)
        observer.progress(begun, begun, "files")
    shutil.rmtree(workplace.spool)
    if not begun:
        raise UserError("there is no file that matches include and exclude")
    if not result.documents:
        raise UserError(
            f"none of the {begun} files that match gave a document: "
            + ", ".join(
                f"{count} {reason}"
                for reason, count in (
                    *result.quarantined.most_common(),
                    *([("erased", result.erased)] if result.erased else []),
                )
            ),
            hint="change include or exclude, max_file_bytes, encodings or text_field",
        )
    result.read, result.extracted, result.isolation = reader.read, reader.extracted, pool.isolation
    result.stray_sidecars = rights.sidecars.strays
    result.books, result.content = books.accounts(), content.hexdigest()
    return result


def _with_what_is_inside(units: Iterator[ReadFile]) -> Iterator[Iterator[ReadFile]]:
    """The files of a place, each followed by those in it. One must be gone through before the next."""
    tops = itertools.count()
    number = -1

    def of_top(unit: ReadFile) -> int:
        nonlocal number
        if not unit.inside:
            number = next(tops)
        return number

    return (inside for _number, inside in itertools.groupby(units, of_top))


def _enter(
    unit: ReadFile,
    rights: Rights,
    books: RecordBooks,
    writer: DocumentWriter,
    result: Ingested,
    erased: AbstractSet[str],
) -> None:
    """Put what a file gave into the table and the books."""
    books.enter(bytes_=unit.size)
    id_ = document_id(unit.path, unit.sha256)
    if unit.sha256 in erased:
        books.enter(records=1)
        # For this workspace it is not there: what is made is the same when the original has gone, too.
        books.leave_out(unit.size, "erased")
        result.erased += 1
        return
    if not unit.inside and (said := rights.sidecars.said_of(unit.path)):
        books.enter(records=1)
        books.leave(id_, unit.path, "dropped", unit.size, "rights sidecar", said)
        return
    held = rights.of(unit.path)
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
        if erased and (id_ in erased or text_digest(record.text) in erased):
            books.leave(id_, path, "dropped", record.bytes, "erased")
            result.erased += 1
            continue
        books.leave(id_, path, "kept", record.bytes)
        modified = timestamp(unit.modified) if unit.modified is not None else ""
        known = {
            "media_type": unit.extraction.media_type,
            "language": unit.extraction.language,
            "collected_at": modified,
        }
        row = document_row(record, held, {**known, "id": id_, "path": path})
        writer.add({**row, "metadata": with_metadata(record.metadata, unit.metadata)})
        result.count(row)
    members = len(unit.extraction.members)
    if members or accounted == 0 < unit.size:  # an archive, of whose files perhaps none could be unpacked
        books.enter(records=1)
        id_ = document_id(unit.path, unit.sha256)
        detail = "1 file in it" if members == 1 else f"{members} files in it"
        books.leave(id_, unit.path, "unpacked", unit.size - accounted, "", detail)


def _listed(unit: ReadFile, target: str) -> str:
    row = {
        "path": unit.path,
        "bytes": unit.size,
        "sha256": unit.sha256,
        "media_type": unit.extraction.media_type,
        "modified": timestamp(unit.modified) if unit.modified is not None else "",
        **({"target": target} if target else {}),
    }
    return json.dumps(row, ensure_ascii=False) + "\n"
