"""Documents of a split of a corpus, and the sample of them that is measured."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loresmith.data.corpus import read_documents
from loresmith.errors import Failure, UserError

Split = Literal["train", "validation", "test"]
GroupBy = Literal["directory", "language", "none"]

TOP_LEVEL = "(top level)"
UNKNOWN_LANGUAGE = "(unknown)"
EVERYTHING = "(all)"


@dataclass(frozen=True)
class Document:
    """One document of a corpus. `bytes` is the UTF-8 length of `text`."""

    id: str
    path: str
    text: str
    bytes: int
    language: str


@dataclass(frozen=True)
class Sample:
    """What is measured, and of how much.

    Attributes:
        split: which part of the corpus.
        documents: ordered by path.
        bytes: of the sample.
        of_documents, of_bytes: the whole split.
        digest: sha256 over the ids of the sample: equal for two measurements of the same text.
    """

    split: Split
    documents: tuple[Document, ...]
    bytes: int
    of_documents: int
    of_bytes: int
    digest: str


def draw_sample(corpus: Path, split: Split, max_documents: int | None = None, max_bytes: int | None = None) -> Sample:
    """Read a split, or as much of it as is wanted.

    Documents are taken in the order of the sha256 of their id until the next would go beyond a maximum, so that the
    sample does not depend on names, on a seed, or on how many other documents there are. At least one is taken.

    Args:
        corpus: a `corpus` asset.
        split: which part of it.
        max_documents, max_bytes: no maximum by default.

    Raises:
        UserError: this is no corpus, or the split holds no documents.
        Failure: two documents have the same id.
    """
    rows = [row for batch in read_documents(corpus, ("id", "bytes"), split) for row in batch.to_pylist()]
    sizes: dict[str, int] = {row["id"]: row["bytes"] for row in rows}
    if len(sizes) < len(rows):
        raise Failure(f"the corpus holds documents of the same id: {len(rows)} documents, {len(sizes)} ids")
    if not sizes:
        raise UserError(
            f"the corpus has no documents in the split {split!r}", hint="choose another split, or curate more"
        )
    chosen: set[str] = set()
    taken = 0
    for document in sorted(sizes, key=lambda id: hashlib.sha256(id.encode()).digest()):
        full = (max_documents is not None and len(chosen) >= max_documents) or (
            max_bytes is not None and taken + sizes[document] > max_bytes
        )
        if chosen and full:
            break
        chosen.add(document)
        taken += sizes[document]
    documents = [
        Document(**row)
        for batch in read_documents(corpus, ("id", "path", "text", "bytes", "language"), split)
        for row in batch.to_pylist()
        if row["id"] in chosen
    ]
    documents.sort(key=lambda document: (document.path, document.id))
    digest = hashlib.sha256("\n".join(sorted(chosen)).encode()).hexdigest()
    return Sample(split, tuple(documents), taken, len(sizes), sum(sizes.values()), digest)


def group_of(document: Document, group_by: GroupBy) -> str:
    """What a document's score is reported under."""
    if group_by == "directory":
        first, slash, _ = document.path.partition("/")
        return first if slash else TOP_LEVEL
    if group_by == "language":
        return document.language or UNKNOWN_LANGUAGE
    return EVERYTHING
