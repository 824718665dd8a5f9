"""What the columns of a corpus say, without its text: volume, splits, formats, rights. One pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from loresmith.advice.part import Part, Share
from loresmith.data.corpus import read_documents
from loresmith.data.observer import Observer, safe_point

COLUMNS = (
    "id",
    "path",
    "bytes",
    "media_type",
    "language",
    "licence",
    "labels",
    "owner",
    "uses",
    "retain_until",
    "split",
)
NAMED = 5
"""Longest and shortest documents that are named."""
LISTED = 12
"""Formats, licences and the like that are named; the rest is added up."""
USES = ("train", "evaluate", "retrieve")


class Named(Part):
    """A document."""

    path: str = Field(description="Where it came from.")
    bytes: int = Field(description="UTF-8 bytes of its text.")


class Fate(Part):
    """What became of some of the documents from which the corpus was chosen."""

    disposition: str = Field(description="kept, dropped, merged or quarantined.")
    reason: str = Field(description="Why; empty for what is kept.")
    documents: int = Field(description="How many.")
    bytes: int = Field(description="UTF-8 bytes of their text.")


class Rights(Part):
    """What is stated of the corpus's rights, as shares of its bytes."""

    licences: tuple[Share, ...] = Field(
        description="By licence, the largest first; the name is empty where none is stated."
    )
    owners: tuple[Share, ...] = Field(description="By owner; the name is empty where none is stated.")
    uses: tuple[Share, ...] = Field(description="What may be used to train, evaluate and retrieve.")
    labels: tuple[Share, ...] = Field(description="By access label, which every model made from it inherits.")
    with_licence: float = Field(description="Share of the bytes with a licence.")
    with_owner: float = Field(description="Share of the bytes with an owner.")
    with_retention: float = Field(description="Share of the bytes with a last day on which they may be kept.")
    first_to_go: str = Field(description="The earliest of these days, YYYY-MM-DD; empty where there is none.")


class Contents(Part):
    """What is in the corpus."""

    documents: int = Field(description="How many documents.")
    bytes: int = Field(description="UTF-8 bytes of their text.")
    median_bytes: int = Field(description="Of a document.")
    splits: tuple[Share, ...] = Field(description="Training, validation and test.")
    formats: tuple[Share, ...] = Field(description="By media type, the largest first.")
    longest: tuple[Named, ...] = Field(description="The longest documents.")
    shortest: tuple[Named, ...] = Field(description="The shortest documents.")
    fates: tuple[Fate, ...] = Field(description="What went in, and where it went; empty where there are no books.")
    rights: Rights = Field(description="What may be done with it.")


@dataclass
class _Sum:
    documents: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        self.documents += 1
        self.bytes += size


@dataclass
class Survey:
    """What was counted.

    Attributes:
        usable, retrievable: documents that may be used to train (and are in the training split), and to retrieve.
        languages: bytes by the column `language`.
    """

    all: _Sum = field(default_factory=_Sum)
    usable: _Sum = field(default_factory=_Sum)
    retrievable: _Sum = field(default_factory=_Sum)
    sizes: list[int] = field(default_factory=list)
    by: dict[str, dict[str, _Sum]] = field(default_factory=dict)
    named: list[tuple[int, str]] = field(default_factory=list)
    with_retention: int = 0
    first_to_go: str = ""

    def add(self, row: Mapping[str, Any]) -> None:
        size = row["bytes"]
        self.all.add(size)
        self.sizes.append(size)
        if may_train(row):
            self.usable.add(size)
        if "retrieve" in row["uses"]:
            self.retrievable.add(size)
        for column in ("split", "media_type", "licence", "owner"):
            self._of(column, row[column]).add(size)
        for column in ("uses", "labels"):
            for name in row[column]:
                self._of(column, name).add(size)
        if row["retain_until"]:
            self.with_retention += size
            self.first_to_go = min(self.first_to_go or row["retain_until"], row["retain_until"])
        self.named.append((size, row["path"]))
        if len(self.named) > 1000:
            self._forget()

    def _of(self, column: str, name: str) -> _Sum:
        return self.by.setdefault(column, {}).setdefault(name, _Sum())

    def _forget(self) -> None:
        self.named.sort()
        self.named = [*self.named[:NAMED], *self.named[-NAMED:]]

    def shares(self, column: str, names: Iterable[str] | None = None, listed: int = LISTED) -> tuple[Share, ...]:
        """By a column, the largest first, or in the order of the names; what is beyond `listed` is one share."""
        found = self.by.get(column, {})
        ranked = sorted(found, key=lambda name: (-found[name].bytes, name)) if names is None else list(names)
        shares = [self._share(name, found.get(name, _Sum())) for name in ranked[:listed]]
        rest = [found[name] for name in ranked[listed:]]
        if rest:
            together = _Sum(sum(x.documents for x in rest), sum(x.bytes for x in rest))
            shares.append(self._share(f"{len(rest)} others", together))
        return tuple(shares)

    def _share(self, name: str, some: _Sum) -> Share:
        return Share(name=name, documents=some.documents, bytes=some.bytes, share=some.bytes / max(1, self.all.bytes))

    def contents(self, corpus: Path) -> Contents:
        """All of it, as the report has it."""
        self._forget()
        ranked = [Named(path=path, bytes=size) for size, path in self.named]
        licences, owners = self.by.get("licence", {}), self.by.get("owner", {})
        whole = max(1, self.all.bytes)
        return Contents(
            documents=self.all.documents,
            bytes=self.all.bytes,
            median_bytes=sorted(self.sizes)[len(self.sizes) // 2] if self.sizes else 0,
            splits=self.shares("split", ("train", "validation", "test")),
            formats=self.shares("media_type"),
            longest=tuple(ranked[::-1][:NAMED]),
            shortest=tuple(ranked[:NAMED]),
            fates=_fates(corpus),
            rights=Rights(
                licences=self.shares("licence"),
                owners=self.shares("owner"),
                uses=self.shares("uses", USES),
                labels=self.shares("labels"),
                with_licence=sum(found.bytes for name, found in licences.items() if name) / whole,
                with_owner=sum(found.bytes for name, found in owners.items() if name) / whole,
                with_retention=self.with_retention / whole,
                first_to_go=self.first_to_go,
            ),
        )


def may_train(row: Mapping[str, Any]) -> bool:
    """Whether a model may learn from a document: it is not held out, and its rights allow it."""
    return row["split"] == "train" and "train" in row["uses"]


def survey(corpus: Path, observer: Observer) -> Survey:
    """Count a corpus.

    Raises:
        UserError: it has not all columns of a corpus.
    """
    counted = Survey()
    for batch in read_documents(corpus, COLUMNS):
        for row in batch.to_pylist():
            counted.add(row)
        safe_point(observer, counted.all.documents, None, "documents")
    return counted


def _fates(corpus: Path) -> tuple[Fate, ...]:
    books = corpus / "books.parquet"
    if not books.is_file():
        return ()
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(books, columns=["disposition", "reason", "bytes"])
    grouped = table.group_by(["disposition", "reason"]).aggregate([("bytes", "count"), ("bytes", "sum")])
    fates = [
        Fate(disposition=row["disposition"], reason=row["reason"], documents=row["bytes_count"], bytes=row["bytes_sum"])
        for row in grouped.to_pylist()
    ]
    return tuple(sorted(fates, key=lambda fate: (fate.disposition != "kept", -fate.bytes, fate.reason)))
