"""The tables that curation keeps between its stages: for each shard of documents a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.ipc

from loresmith.data.curation.changing_text import EDIT_COLUMNS, GONE
from loresmith.data.documents import DOCUMENT_COLUMNS, PIECES

BREACHES = pa.list_(
    pa.struct([("name", pa.string()), ("value", pa.float64()), ("consequence", pa.string()), ("because", pa.string())])
)
_SEEN: list[tuple[str, pa.DataType]] = [
    ("profile", pa.string()),
    ("scores", pa.map_(pa.string(), pa.float64())),
    ("flags", pa.list_(pa.string())),
    ("breaches", BREACHES),
    ("refused", pa.string()),
]
PREPARED_COLUMNS = pa.schema(
    [
        *DOCUMENT_COLUMNS,
        ("pieces", PIECES),
        ("gone", GONE),
        ("ingested_bytes", pa.int64()),
        ("digest", pa.binary(32)),
        *_SEEN,
    ]
)
"""Documents with edited texts; `ingested_bytes` they had before, of which `gone` says where the rest went. `digest` is
sha256 of the edited text, `pieces` is empty where nothing was edited."""

SIGNS = (
    "id",
    "path",
    "bytes",
    "ingested_bytes",
    "digest",
    "labels",
    "uses",
    "retain_until",
    "refused",
    "breaches",
    "profile",
    "language",
    "media_type",
)
"""The columns that the decision looks at."""

_BATCH_ROWS = 256
_BATCH_BYTES = 8 << 20


class ArrowWriter:
    """Writes rows to one Arrow file, some at a time. A context manager."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        options = pyarrow.ipc.IpcWriteOptions(compression="lz4")
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pyarrow.ipc.new_file(self._file, schema, options=options)
        self._schema = schema
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0

    def add(self, row: Mapping[str, Any], bytes_: int = 0) -> None:
        self._rows.append(row)
        self._bytes += bytes_
        if len(self._rows) >= _BATCH_ROWS or self._bytes >= _BATCH_BYTES:
            self._flush()

    def __enter__(self) -> ArrowWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()
        self._file.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(pa.RecordBatch.from_pylist(self._rows, self._schema))
        self._rows, self._bytes = [], 0


class PreparedWriter:
    """Writes the prepared documents of a shard, and the edits that were made. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._documents = ArrowWriter(folder / "documents.arrow", PREPARED_COLUMNS)
        self._edits = ArrowWriter(folder / "edits.arrow", EDIT_COLUMNS)

    def add(self, row: Mapping[str, Any], edits: Iterable[Mapping[str, Any]]) -> None:
        """Add a document (`PREPARED_COLUMNS`) and what was edited in it."""
        self._documents.add(row, row["bytes"])
        for edit in edits:
            self._edits.add({"id": row["id"], "path": row["path"], **edit})

    def keep_edits(self, edits: Iterable[pa.RecordBatch]) -> None:
        """Add edits that were made before (`EDIT_COLUMNS`)."""
        for batch in edits:
            for edit in batch.to_pylist():
                self._edits.add(edit)

    def __enter__(self) -> PreparedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._documents.__exit__(kind, error, trace)
        self._edits.__exit__(kind, error, trace)


def read_arrow(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The batches of a file that `ArrowWriter` wrote, one in memory at a time."""
    with pa.memory_map(str(path)) as mapped:
        names = pyarrow.ipc.open_file(mapped).schema.names
        chosen = None if columns is None else [names.index(column) for column in columns]
        reader = pyarrow.ipc.open_file(mapped, options=pyarrow.ipc.IpcReadOptions(included_fields=chosen))
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
