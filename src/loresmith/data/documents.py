"""Writing the tables of documents: the `documents` and the `corpus` asset. `corpus` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from loresmith.data.tables import TableWriter

_FIELDS: list[tuple[str, pa.DataType]] = [
    ("id", pa.string()),
    ("path", pa.string()),
    ("text", pa.string()),
    ("bytes", pa.int64()),
    ("media_type", pa.string()),
    ("language", pa.string()),
    ("licence", pa.string()),
    ("labels", pa.list_(pa.string())),
    ("collected_at", pa.string()),
    ("metadata", pa.string()),
    ("owner", pa.string()),
    ("uses", pa.list_(pa.string())),
    ("retain_until", pa.string()),
    ("source_start", pa.int64()),
    ("source_bytes", pa.int64()),
    ("pages", pa.list_(pa.struct([("number", pa.int32()), ("start", pa.int64())]))),
]
DOCUMENT_COLUMNS = pa.schema(_FIELDS)
"""`bytes` is the UTF-8 length of `text`; `collected_at` is ISO 8601 UTC, or empty; `metadata` is JSON.

The document takes up `source_bytes` bytes of its file from byte `source_start` on. `pages` says with which byte of
`text` each page (slide, sheet, chapter) begins. `uses` is what it may be used for, `retain_until` the last day
(YYYY-MM-DD) on which it may be kept, or empty.
"""

PIECES = pa.list_(pa.struct([(name, pa.int64()) for name in ("at", "start", "length")]))

CORPUS_COLUMNS = pa.schema([*_FIELDS, ("split", pa.string()), ("group", pa.string()), ("pieces", PIECES)])
"""`split` is train, validation or test; documents of one `group` are near-identical and on the same side.

Where curation changed a text, `pieces` has what is left of it, in characters: `length` of them from `at` on stood at
`start` in the text as it was read, to which `pages` belong. It is empty where nothing was changed.
"""

_FILE_BYTES = 1 << 30


class DocumentWriter:
    """Writes documents-00000.parquet and on, a new file for every GiB of text. A context manager."""

    def __init__(self, directory: Path, schema: pa.Schema) -> None:
        self._directory = directory
        self._schema = schema
        self._files = 0
        self._bytes = 0
        self._writer = self._next_file()

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a document: a value for each column."""
        if self._bytes >= _FILE_BYTES:
            self._writer.close()
            self._writer = self._next_file()
        self._writer.add(row, row["bytes"])
        self._bytes += row["bytes"]

    def __enter__(self) -> DocumentWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def _next_file(self) -> TableWriter:
        writer = TableWriter(self._directory / f"documents-{self._files:05d}.parquet", self._schema)
        self._files += 1
        self._bytes = 0
        return writer
