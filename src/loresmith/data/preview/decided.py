"""The documents of a sample, and what curation decided of each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from loresmith.data.corpus import read_documents
from loresmith.data.documents import DOCUMENT_COLUMNS
from loresmith.data.edited_text import EditedText, Piece
from loresmith.data.media import MEDIA, is_media
from loresmith.data.preview.catalogue import BYTES


@dataclass(frozen=True)
class Seen:
    """One document.

    Attributes:
        row: as it was read (`DOCUMENT_COLUMNS`).
        said: what curation says of it (`SCORE_COLUMNS`).
        after: its text, if it stays with it.
        edits: that were made in it (`EDIT_COLUMNS`), whether it stays or not.
    """

    row: Mapping[str, Any]
    said: Mapping[str, Any]
    after: EditedText | None
    edits: Sequence[Mapping[str, Any]] = field(default=())

    @property
    def kept(self) -> bool:
        return self.after is not None

    @property
    def media(self) -> bool:
        """Whether it is a picture or a recording, and so is held to no profile."""
        return is_media(self.bytes, self.row["media_type"])

    @property
    def bytes(self) -> int:
        """Of the text as it was read."""
        return int(self.row["bytes"])

    @property
    def scores(self) -> dict[str, float]:
        """What rules gave it, and the bytes that are left of it."""
        return {**dict(self.said["scores"]), BYTES: float(self.said["bytes"])}


def read_decided(sample: Path, corpus: Path) -> list[Seen]:
    """All documents of a sample, in their order.

    Args:
        sample: documents-*.parquet that were curated.
        corpus: what came of it.
    """
    said = _rows(corpus / "scores.parquet")
    edits: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    if (corpus / "edits.parquet").exists():
        for edit in _rows(corpus / "edits.parquet"):
            edits[edit["id"], edit["path"]].append(edit)
    kept = {}
    for path in sorted(corpus.glob("documents-*.parquet")):
        for row in pq.read_table(path, columns=["id", "path", "text", "pieces"]).to_pylist():
            pieces = tuple(Piece(**piece) for piece in row["pieces"])
            kept[row["id"], row["path"]] = (row["text"], pieces)
    seen = []
    rows = (row for batch in read_documents(sample, DOCUMENT_COLUMNS.names) for row in batch.to_pylist())
    for row, about in zip(rows, said, strict=True):
        key = (row["id"], row["path"])
        after = None
        if about["disposition"] == "kept" and about["reason"] != MEDIA:
            text, pieces = kept[key]
            after = EditedText(text, pieces) if edits[key] else EditedText.of(text)
        seen.append(Seen(row, about, after, edits[key]))
    return seen


def outcomes(documents: Sequence[Seen]) -> dict[str, tuple[int, int]]:
    """Documents, and their bytes, by what becomes of them."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for seen in documents:
        counts[seen.said["disposition"]] += 1
        sizes[seen.said["disposition"]] += seen.bytes
    return {name: (count, sizes[name]) for name, count in counts.items()}


def _rows(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()
