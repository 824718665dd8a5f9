"""The rows of a query to documents: what was read is kept as JSON Lines, a row a line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from loresmith.data.document_row import document_id, document_row, text_digest
from loresmith.data.documents import DOCUMENT_COLUMNS, DocumentWriter
from loresmith.data.ingested import Ingested
from loresmith.data.observer import Observer, safe_point
from loresmith.data.readers.record import Record, Refused, metadata_json
from loresmith.data.record_books import RecordBooks
from loresmith.data.rights import Rights
from loresmith.errors import UserError

ROWS = "rows.jsonl"
MEDIA_TYPE = "application/x-database-row"


def ingest_rows(
    rows: Iterable[Record | Refused],
    name: str,
    rights: Rights,
    source: Path,
    documents: Path,
    observer: Observer,
    erased: AbstractSet[str] = frozenset(),
) -> Ingested:
    """Write the rows of a query into a `source` and a `documents` asset; the books count rows and bytes of text.

    Args:
        rows: as `database_source.read_query` gives them.
        name: what paths begin with.
        source, documents: empty folders.
        erased: what is left out: ids of documents, and sha256 of texts.

    Raises:
        UserError: no row gave a document.
    """
    result = Ingested()
    content = hashlib.sha256()
    held = rights.of(name)
    (source / "files").mkdir()
    with (
        (source / "files" / ROWS).open("wb") as kept,
        DocumentWriter(documents, DOCUMENT_COLUMNS) as writer,
        RecordBooks(documents) as books,
    ):
        for number, (row, line) in enumerate(_with_lines(rows)):
            if number % 1024 == 0:
                safe_point(observer, number, None, "rows")
            path = f"{name}{row.anchor}"
            id_ = document_id(path, hashlib.sha256(line).hexdigest())
            books.enter(records=1, bytes_=row.bytes)
            if erased and (id_ in erased or (isinstance(row, Record) and text_digest(row.text) in erased)):
                books.leave(id_, path, "dropped", row.bytes, "erased")
                result.erased += 1
                continue
            content.update(line)
            start = kept.tell()
            kept.write(line)
            if isinstance(row, Record) and not row.text.strip():
                row = Refused("empty", "no text in it", row.bytes, row.anchor)
            if isinstance(row, Refused):
                books.leave(id_, path, "quarantined", row.bytes, row.reason, row.detail)
                result.quarantined[row.reason] += 1
                continue
            books.leave(id_, path, "kept", row.bytes)
            known = {"id": id_, "path": path, "media_type": MEDIA_TYPE, "language": "", "collected_at": ""}
            document = document_row(row, held, known)
            writer.add({**document, "source_start": start, "source_bytes": len(line)})
            result.count(document)
        size = kept.tell()
    listed = {
        "path": ROWS,
        "bytes": size,
        "sha256": content.hexdigest(),
        "media_type": "application/jsonl",
        "modified": "",
    }
    (source / "listing.jsonl").write_text(json.dumps(listed) + "\n", encoding="utf-8")
    if not result.documents:
        refused = ", ".join(f"{count} {reason}" for reason, count in result.quarantined.most_common())
        raise UserError(f"the query gave no document{': ' if refused else ''}{refused}")
    result.files = result.read = 1
    result.file_bytes, result.source_labels = size, set(held.labels) | result.labels
    result.books, result.content = books.accounts(), content.hexdigest()
    return result


def rows_digest(rows: Iterable[Record | Refused]) -> str:
    """The digest of what a query gives."""
    content = hashlib.sha256()
    for _, line in _with_lines(rows):
        content.update(line)
    return content.hexdigest()


def read_kept_rows(path: Path) -> Iterator[Record | Refused]:
    """The rows that `ingest_rows` kept, as `database_source.read_query` gave them.

    Raises:
        UserError: there is no such file, or it has something else in it.
    """
    try:
        with path.open(encoding="utf-8") as kept:
            for number, line in enumerate(kept, 1):
                yield _kept_row(json.loads(line), f"#row-{number}")
    except OSError as error:
        raise UserError(f"cannot read it: {error.strerror}", where=str(path)) from None
    except (ValueError, LookupError, TypeError):
        raise UserError(f"line {number} is no row that was kept", where=str(path)) from None


def _kept_row(said: Mapping[str, Any], anchor: str) -> Record | Refused:
    if "refused" in said:
        return Refused(said["refused"], said["detail"], 0, anchor)
    text = said["text"]
    labels, metadata = tuple(said["labels"]), metadata_json(said["metadata"])
    return Record(text, len(text.encode()), anchor, metadata, labels=labels)


def _with_lines(rows: Iterable[Record | Refused]) -> Iterator[tuple[Record | Refused, bytes]]:
    """Rows with the lines in which they are kept."""
    for row in rows:
        said = (
            {"refused": row.reason, "detail": row.detail}
            if isinstance(row, Refused)
            else {"text": row.text, "labels": list(row.labels), "metadata": json.loads(row.metadata)}
        )
        yield row, json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
