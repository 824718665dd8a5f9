"""What a document is called, and its row in the tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from loresmith.data.readers.record import Record
from loresmith.data.rights import DocumentRights


def document_row(record: Record, rights: DocumentRights, known: Mapping[str, str]) -> dict[str, Any]:
    """A document's row (`DOCUMENT_COLUMNS`).

    Args:
        rights: of its file.
        known: `id`, `path` and `collected_at`; `media_type` and `language` where the record does not say.
    """
    return {
        **known,
        "text": record.text,
        "bytes": len(record.text.encode()),
        "media_type": record.media_type or known["media_type"],
        "language": record.language or known["language"],
        "licence": rights.licence,
        "labels": sorted({*rights.labels, *record.labels}),
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


def document_id(path: str, digest: str) -> str:
    """What names a document: 32 hexadecimal digits, from its path and the digest of the file it was read from."""
    return hashlib.sha256(f"{path}\n{digest}".encode()).hexdigest()[:32]


def text_digest(text: str) -> str:
    """By what a text is known again: the SHA-256 of its UTF-8. Empty for no text: all of those would be the same."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def timestamp(seconds: float) -> str:
    """ISO 8601 in UTC; empty for the times that file systems hold and calendars do not."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
