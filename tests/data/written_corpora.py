"""Corpora written row by row, for tests of what looks at them, compares and mixes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from loresmith.data.curation.outcome import SCORE_COLUMNS
from loresmith.data.documents import CORPUS_COLUMNS
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
    documents: Iterable[Mapping[str, Any]],
    folder: Path,
    scores: Sequence[Mapping[str, Any]] | None = None,
    files: int = 1,
) -> Path:
    """A corpus of these documents in so many files; with `scores`, a row for each of them, also with scores.parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    written = list(documents)
    for number in range(files):
        with TableWriter(folder / f"documents-{number:05d}.parquet", CORPUS_COLUMNS) as writer:
            for row in written[number * len(written) // files : (number + 1) * len(written) // files]:
                writer.add(row, row["bytes"])
    with RecordBooks(folder) as books:
        for row in written:
            books.enter(records=1, bytes_=row["bytes"])
            books.leave(row["id"], row["path"], "kept", row["bytes"])
    if scores is not None:
        with TableWriter(folder / "scores.parquet", SCORE_COLUMNS) as table:
            for row, said in zip(written, scores, strict=True):
                known = {name: row[name] for name in ("id", "path", "bytes", "language", "group")}
                usual = {"profile": "", "disposition": "kept", "reason": "", "detail": "", "near": ""}
                table.add({**usual, **known, "scores": [], "flags": [], "breaches": [], "similarity": None, **said})
    return folder


def write_corpus(folder: Path, texts: Sequence[str], files: int = 1, **columns: Sequence[Any]) -> Path:
    """A corpus of texts in so many files; `columns` are values that are not the usual ones, for each document."""
    rows = (
        document(f"docs/{number}.txt", text, **{name: values[number] for name, values in columns.items()})
        for number, text in enumerate(texts)
    )
    return corpus_of(rows, folder, files=files)
