"""Corpora written row by row, for tests of what looks at them, compares and mixes them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loresmith.data.curation.outcome import SCORE_COLUMNS
from loresmith.data.documents import CORPUS_COLUMNS, DocumentWriter
from loresmith.data.record_books import RecordBooks
from loresmith.data.tables import TableWriter


def document(path: str, text: str, **changes: Any) -> dict[str, Any]:
    """A row of a corpus; `changes` are other values than the usual."""
    content = hashlib.sha256(text.encode()).hexdigest()
    return {
        "id": hashlib.sha256(f"{path}\n{content}".encode()).hexdigest()[:32],
        "path": path,
        "text": text,
        "bytes": len(text.encode()),
        "media_type": "text/plain",
        "language": "en",
        "licence": "",
        "labels": [],
        "collected_at": "",
        "metadata": "{}",
        "owner": "",
        "uses": ["train"],
        "retain_until": "",
        "source_start": 0,
        "source_bytes": len(text.encode()),
        "pages": [],
        "split": "train",
        "group": content,
        "pieces": [],
        **changes,
    }


def corpus_of(
    documents: Sequence[Mapping[str, Any]], folder: Path, scores: Sequence[Mapping[str, Any]] | None = None
) -> Path:
    """A corpus of these documents; with `scores`, a row for each of them, also with scores.parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    with DocumentWriter(folder, CORPUS_COLUMNS) as writer, RecordBooks(folder) as books:
        for row in documents:
            writer.add(row)
            books.enter(records=1, bytes_=row["bytes"])
            books.leave(row["id"], row["path"], "kept", row["bytes"])
    if scores is not None:
        with TableWriter(folder / "scores.parquet", SCORE_COLUMNS) as table:
            for row, said in zip(documents, scores, strict=True):
                known = {name: row[name] for name in ("id", "path", "bytes", "language", "group")}
                usual = {"profile": "", "disposition": "kept", "reason": "", "detail": "", "near": ""}
                table.add({**usual, **known, "scores": [], "flags": [], "breaches": [], "similarity": None, **said})
    return folder
