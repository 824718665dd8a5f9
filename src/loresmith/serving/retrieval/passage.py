"""A passage: a stretch of a document that is found, and where it stands in the organisation's files."""

from __future__ import annotations

from dataclasses import dataclass

from loresmith.serving.policy.resource import ATTRIBUTES, Resource


@dataclass(frozen=True)
class PassageRef:
    """Which stretch of which document it is, without what it says: what an authorisation is asked about.

    Attributes:
        document: the document's id.
        path: of the file it was read from, with the record in it, if it has some.
        pages: numbers of the pages (slides, sheets, chapters) it is on; empty where there are none.
        start, end: characters start .. end - 1 of the document's text in its corpus.
        byte_start, byte_end: bytes byte_start .. byte_end - 1 of the file.
        exact: whether these are the bytes of this passage alone, and not of the whole document.
        labels: of the document, sorted.
        media_type, language, licence: of the document; empty where they are not known.
        retain_until: the last day (YYYY-MM-DD) on which the document may be kept; empty: no such day is set.
    """

    document: str
    path: str
    pages: tuple[int, ...]
    start: int
    end: int
    byte_start: int
    byte_end: int
    exact: bool
    labels: tuple[str, ...]
    media_type: str
    language: str
    licence: str
    retain_until: str

    @property
    def attributes(self) -> dict[str, str]:
        """What policies may ask of the document, as far as it is known."""
        return {name: value for name in ATTRIBUTES["document"] if (value := getattr(self, name))}

    @property
    def resource(self) -> Resource:
        """The document, as policies are asked about it."""
        return Resource("document", self.document, frozenset(self.labels), self.attributes)


@dataclass(frozen=True)
class Passage(PassageRef):
    """A passage that was found.

    Attributes:
        text: what it says.
        score: by which it was ranked: higher is better, and only to be compared within one answer.
        cosine: how near it is to the question by the embedder, -1 to 1; None where the index has none.
        number: by which an answer cites it, from 1.
    """

    text: str
    score: float
    cosine: float | None
    number: int
