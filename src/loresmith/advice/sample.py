"""Texts to look at closely: all of a small corpus, and of a larger one documents spread over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loresmith.advice.part import Basis
from loresmith.data.corpus import read_documents
from loresmith.data.observer import Observer, safe_point
from loresmith.data.sampling import in_sample

LONGEST = 200_000
"""Characters of a document that are looked at: one book must not be the whole sample."""


@dataclass(frozen=True)
class Text:
    """A document of the sample."""

    id: str
    text: str
    bytes: int
    language: str
    media_type: str


@dataclass(frozen=True)
class Sample:
    """Some documents, and on what part of the corpus that is."""

    texts: Sequence[Text]
    basis: Basis


def take_sample(corpus: Path, all_bytes: int, wanted: int, observer: Observer) -> Sample:
    """About `wanted` bytes of a corpus, of all splits; the same documents each time."""
    texts = []
    whole = True
    for batch in read_documents(corpus, ("id", "text", "bytes", "language", "media_type")):
        for row in batch.to_pylist():
            if not in_sample(row["id"], wanted, all_bytes):
                whole = False
                continue
            text = row["text"]
            if len(text) > LONGEST:
                whole = False
                text = text[:LONGEST]
            texts.append(Text(row["id"], text, len(text.encode()), row["language"], row["media_type"]))
        safe_point(observer, len(texts), None, "documents")
    return Sample(texts, Basis(documents=len(texts), bytes=sum(text.bytes for text in texts), all=whole))
