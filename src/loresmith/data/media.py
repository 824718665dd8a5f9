"""Media documents: pictures and recordings without text. All they say is in their metadata and their file.

A corpus has them beside its documents, in files of their own, so that whatever takes text from it never meets them.
"""

from __future__ import annotations

MEDIA_FILES = "media-*.parquet"
"""Of a corpus; the columns are those of documents as they were read (`DOCUMENT_COLUMNS`)."""

MEDIA = "media"
"""What the books call them."""

_SORTS = ("image/", "audio/")


def is_media(text_bytes: int, media_type: str) -> bool:
    """Whether a document is one: a picture of text that was recognised is not."""
    return not text_bytes and media_type.startswith(_SORTS)
