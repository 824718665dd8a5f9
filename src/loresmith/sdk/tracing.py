"""What became of one document: from the files it was read from to the models that learnt from it.

Every step that handles documents keeps a book with a line for each; the book of a training goes down to tokens. Tracing
reads them all, so its answer is what was written down when it happened, not a reconstruction.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import UserError

if TYPE_CHECKING:
    from loresmith.ledger import Ledger

RECORD_BOOKS, TOKEN_BOOKS = "books.parquet", "documents.parquet"


class Fate(BaseModel):
    """What a step did with the document as a record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asset: str = Field(description="Digest of the asset in whose books it stands.")
    kind: str = Field(description="Kind of that asset: documents or corpus.")
    disposition: str = Field(description="What became of it: kept, dropped, merged, quarantined.")
    reason: str = Field(description="Why; empty for what is simply kept.")
    detail: str = Field(description="More, such as the document that it was merged into.")
    split: str | None = Field(description="In a corpus: train, validation or test.")


class Lesson(BaseModel):
    """What a training did with part of the document's tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: str = Field(description="Key of the action that trained.")
    run: str = Field(description="The run that carried it out.")
    step: str = Field(description="The step's name in its recipe: `recipe/step`.")
    source: str = Field(description="Which of the training's sources the document was in.")
    disposition: str = Field(description="kept: learnt from; masked, truncated or dropped.")
    reason: str = Field(description="Why; empty for what is simply learnt from.")
    tokens: int = Field(description="How many of the document's tokens.")
    again: int = Field(description="How often tokens of them were learnt from beyond the first time.")


class Witness(BaseModel):
    """A model or adapter that saw the document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asset: str = Field(description="Its digest.")
    kind: Literal["model", "adapter"] = Field(description="Which of the two it is.")
    directly: bool = Field(description="Whether its own training saw it, and not only that of what it was made from.")
    actions: tuple[str, ...] = Field(description="Keys of the trainings that saw the document.")
    releases: tuple[str, ...] = Field(description="Channels that point at it, as `name@channel`.")


class Trace(BaseModel):
    """All that the books say of a document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    document: str = Field(description="Its id.")
    path: str = Field(description="Where it came from.")
    fates: tuple[Fate, ...] = Field(description="As a record, oldest asset first.")
    lessons: tuple[Lesson, ...] = Field(description="As tokens of a training.")
    seen_by: tuple[Witness, ...] = Field(description="Models and adapters that learnt from it or were shown it.")
    not_seen_by: int = Field(description="How many models and adapters of the workspace did not see it.")


def trace_document(ledger: Ledger, document: str) -> Trace:
    """Look a document up in all books of a workspace.

    Args:
        document: its id, a beginning of the id of at least 8 characters, or its path.

    Raises:
        UserError: no book has it, or several documents are meant.
    """
    records = list(_records(ledger, document))
    lessons = list(_lessons(ledger, document))
    names = {(row["id"], row["path"]) for _, row in records} | {(row["document"], row["path"]) for _, row in lessons}
    if not names:
        raise UserError(
            f"no book of this workspace has a document {document!r}",
            hint="give its id or its path as `loresmith assets show` and the books.parquet of a corpus have it",
        )
    if len({name for name, _ in names}) > 1:
        listed = ", ".join(sorted(f"{name} ({path})" for name, path in names)[:5])
        raise UserError(f"{document!r} means {len(names)} documents: {listed}", hint="give the whole id")
    (name, path) = sorted(names)[0]
    seen = {action for action, row in lessons if row["disposition"] in ("kept", "masked")}
    witnesses, others = _witnesses(ledger, seen)
    actions = {key: ledger.actions.find(key) for key, _ in lessons}
    return Trace(
        document=name,
        path=path,
        fates=tuple(fate for fate, _ in records),
        lessons=tuple(
            Lesson(
                action=key,
                run=action.run,
                step=f"{action.recipe}/{action.name}",
                **{field: row[field] for field in ("source", "disposition", "reason", "tokens", "again")},
            )
            for key, row in lessons
            if (action := actions[key]) is not None
        ),
        seen_by=witnesses,
        not_seen_by=others,
    )


def _records(ledger: Ledger, document: str) -> Iterator[tuple[Fate, dict[str, Any]]]:
    """The lines of the record-level books, of the oldest asset first."""
    for kind in ("documents", "corpus", "dataset"):
        for asset in reversed(ledger.assets.list(kind)):
            if RECORD_BOOKS not in asset.files:
                continue
            directory = ledger.assets.directory(asset.digest)
            for row in _matching(directory / RECORD_BOOKS, "id", document):
                yield (
                    Fate(
                        asset=asset.digest,
                        kind=kind,
                        disposition=row["disposition"],
                        reason=row["reason"],
                        detail=row.get("detail") or "",
                        split=_split(directory, row["id"]) if kind == "corpus" else None,
                    ),
                    row,
                )


def _split(corpus: Path, document: str) -> str | None:
    import pyarrow.dataset

    for file in sorted(corpus.glob("documents-*.parquet")):
        table = pyarrow.dataset.dataset(file).to_table(
            columns=["split"], filter=pyarrow.dataset.field("id") == document
        )
        if len(table):
            return str(table["split"][0])
    return None


def _lessons(ledger: Ledger, document: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of the token-level books with the key of the action that wrote them."""
    for asset in reversed(ledger.assets.list("report")):
        if TOKEN_BOOKS not in asset.files:
            continue
        rows = _matching(ledger.assets.directory(asset.digest) / TOKEN_BOOKS, "document", document)
        if rows:
            makers = [edge.source for edge in ledger.lineage(asset.digest).edges if edge.target == asset.digest]
            for maker in makers:
                for row in rows:
                    yield maker, row


def _matching(file: Path, column: str, document: str) -> list[dict[str, Any]]:
    """Rows of a book whose id or path is this, or whose id begins so."""
    import pyarrow.compute
    import pyarrow.dataset

    field = pyarrow.dataset.field
    wanted = (field(column) == document) | (field("path") == document)
    if len(document) >= 8:
        wanted = wanted | pyarrow.compute.starts_with(field(column), document)
    rows: list[dict[str, Any]] = pyarrow.dataset.dataset(file).to_table(filter=wanted).to_pylist()
    return rows


def _witnesses(ledger: Ledger, seen: set[str]) -> tuple[tuple[Witness, ...], int]:
    """Models and adapters in whose lineage one of these trainings is; and how many have none."""
    witnesses: list[Witness] = []
    others = 0
    kinds: tuple[Literal["model", "adapter"], ...] = ("model", "adapter")
    for kind in kinds:
        for asset in reversed(ledger.assets.list(kind)):
            lineage = ledger.lineage(asset.digest)
            actions = [node.id for node in lineage.nodes if node.type == "action" and node.id in seen]
            if not actions:
                others += 1
                continue
            makers = {edge.source for edge in lineage.edges if edge.target == asset.digest}
            marks = [f"{mark.name}@{mark.channel}" for mark in lineage.releases if mark.asset == asset.digest]
            witnesses.append(
                Witness(
                    asset=asset.digest,
                    kind=kind,
                    directly=not makers.isdisjoint(actions),
                    actions=tuple(actions),
                    releases=tuple(sorted(marks)),
                )
            )
    return tuple(witnesses), others
