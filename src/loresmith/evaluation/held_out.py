"""Documents of a split of a corpus, and the sample of them that is measured."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from loresmith.data.corpus import allowed_documents, read_documents
from loresmith.data.retention import require_in_time, today
from loresmith.errors import Failure, UserError

Split = Literal["train", "validation", "test"]
Use = Literal["train", "evaluate"]
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
        not_allowed_documents, not_allowed_bytes: what of it may not be used so.
        digest: sha256 over the ids of the sample: equal for two measurements of the same text.
    """

    split: Split
    documents: tuple[Document, ...]
    bytes: int
    of_documents: int
    of_bytes: int
    not_allowed_documents: int
    not_allowed_bytes: int
    digest: str


def draw_sample(
    corpus: Path,
    split: Split,
    use: Use,
    max_documents: int | None = None,
    max_bytes: int | None = None,
    on: date | None = None,
) -> Sample:
    """Read a split, or as much of it as is wanted, of what may be used so.

    Documents are taken in the order of the sha256 of their id until the next would go beyond a maximum, so that the
    sample does not depend on names, on a seed, or on how many other documents there are. At least one is taken.

    Args:
        corpus: a `corpus` asset.
        split: which part of it.
        use: what it is read for.
        max_documents, max_bytes: no maximum by default.
        on: the day on which it is read; None: today.

    Raises:
        UserError: this is no corpus, the split holds no documents that may be used so, or a document of the corpus may
            not be kept any more.
        Failure: two documents have the same id.
    """
    require_in_time(corpus, on or today())
    rows = list(allowed_documents(corpus, ("id", "bytes"), split, use))
    sizes: dict[str, int] = {row["id"]: row["bytes"] for row in rows if row["allowed"]}
    refused = [row["bytes"] for row in rows if not row["allowed"]]
    if len(sizes) + len(refused) < len(rows):
        raise Failure(f"the corpus holds documents of the same id: {len(rows)} documents, {len(sizes)} ids")
    if not rows:
        raise UserError(
            f"the corpus has no documents in the split {split!r}", hint="choose another split, or curate more"
        )
    if not sizes:
        raise UserError(
            f"none of the {len(rows)} documents in the split {split!r} may be used to {use}",
            hint="choose another split, or a corpus whose `uses` allow it",
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
    whole = sum(row["bytes"] for row in rows)
    return Sample(split, tuple(documents), taken, len(rows), whole, len(refused), sum(refused), digest)


def group_of(document: Document, group_by: GroupBy) -> str:
    """What a document's score is reported under."""
    if group_by == "directory":
        first, slash, _ = document.path.partition("/")
        return first if slash else TOP_LEVEL
    if group_by == "language":
        return document.language or UNKNOWN_LANGUAGE
    return EVERYTHING
