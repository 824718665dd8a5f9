"""What became of one document: from the files it was read from to the models that learnt from it.

Every step that handles documents keeps a book with a line for each; the book of a training goes down to tokens. Tracing
reads them all, so its answer is what was written down when it happened, not a reconstruction. Where a document was
merged into another, its text went on under that one's id, and so does the trace.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import UserError

if TYPE_CHECKING:
    from loresmith.ledger import Asset, Ledger, Lineage

RECORD_BOOKS, TOKEN_BOOKS = "books.parquet", "documents.parquet"

_LEARNT_FROM = frozenset({"tokens", "dataset"})
"""Kinds of assets that a training learns from."""

_TRAINED = frozenset({"model", "adapter"})
"""Kinds of assets that know what they were trained on."""


class Fate(BaseModel):
    """What a step did with the document, or with one that it was merged into, as a record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asset: str = Field(description="Digest of the asset in whose books it stands.")
    kind: str = Field(description="Kind of that asset: documents, corpus or dataset.")
    document: str = Field(description="The id it stands under: the document's own, or that of a duplicate.")
    disposition: str = Field(description="What became of it: kept, dropped, merged, quarantined.")
    reason: str = Field(description="Why; empty for what is simply kept.")
    detail: str = Field(description="More, such as the document that it was merged into.")
    split: str | None = Field(description="In a corpus: train, validation or test.")


class Lesson(BaseModel):
    """What a training did with part of the document's tokens, or of those of a duplicate that it was merged into."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: str = Field(description="Key of the action that trained.")
    run: str = Field(description="The run that carried it out.")
    step: str = Field(description="The step's name in its recipe: `recipe/step`.")
    document: str = Field(description="The id it was learnt under: the document's own, or that of a duplicate.")
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
    by_duplicates: tuple[str, ...] = Field(
        description="Ids of the duplicates under which it saw the text; empty if it saw it under the document's own."
    )
    actions: tuple[str, ...] = Field(description="Keys of the trainings that saw the document.")
    releases: tuple[str, ...] = Field(description="Channels that point at it, as `name@channel`.")


class Unknown(BaseModel):
    """A model or adapter of which it is not known: no training here showed it the document, but it was made from a base
    whose own training stands in no book of this workspace, or is such a base."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asset: str = Field(description="Its digest.")
    kind: Literal["model", "adapter"] = Field(description="Which of the two it is.")
    bases: tuple[str, ...] = Field(description="Digests of those bases; its own, if it is one.")


class Trace(BaseModel):
    """All that the books say of a document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    document: str = Field(description="Its id.")
    path: str = Field(description="Where it came from.")
    duplicates: tuple[str, ...] = Field(
        description="Ids of the documents that it was merged into, as an exact or a near duplicate."
    )
    fates: tuple[Fate, ...] = Field(description="As a record, oldest asset first; then those of its duplicates.")
    lessons: tuple[Lesson, ...] = Field(description="As tokens of a training.")
    seen_by: tuple[Witness, ...] = Field(description="Models and adapters that learnt from it or were shown it.")
    unknown: tuple[Unknown, ...] = Field(
        description="Models and adapters that were made from a base of which nobody here knows what it saw."
    )
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
    fates = [fate for fate, _ in records]
    duplicates: list[str] = []
    merged_into = _kept_instead(fates)
    while merged_into:  # one that it was merged into may itself have been merged into a third
        kept = merged_into.pop(0)
        if kept not in (name, *duplicates):
            duplicates.append(kept)
            of_duplicate = [fate for fate, row in _records(ledger, kept) if row["id"] == kept]
            fates += of_duplicate
            merged_into += _kept_instead(of_duplicate)
            lessons += [(key, row) for key, row in _lessons(ledger, kept) if row["document"] == kept]
    witnesses, unknown, others = _witnesses(ledger, name, lessons)
    actions = {key: ledger.actions.find(key) for key, _ in lessons}
    return Trace(
        document=name,
        path=path,
        duplicates=tuple(duplicates),
        fates=tuple(fates),
        lessons=tuple(
            Lesson(
                action=key,
                run=action.run,
                step=f"{action.recipe}/{action.name}",
                **{field: row[field] for field in ("document", "source", "disposition", "reason", "tokens", "again")},
            )
            for key, row in lessons
            if (action := actions[key]) is not None
        ),
        seen_by=witnesses,
        unknown=unknown,
        not_seen_by=others,
    )


def _kept_instead(fates: Collection[Fate]) -> list[str]:
    """The ids of the documents that these were merged into: the detail is `of ID PATH` (`loresmith.data.curate`)."""
    details = [fate.detail.split() for fate in fates if fate.disposition == "merged"]
    return [words[1] for words in details if len(words) > 1 and words[0] == "of"]


def _records(ledger: Ledger, document: str) -> Iterator[tuple[Fate, dict[str, Any]]]:
    """The lines of the record-level books, of the oldest asset first."""
    for kind in ("documents", "corpus", "dataset"):
        for asset in reversed(ledger.assets.list(kind)):
            if RECORD_BOOKS not in asset.files:
                continue
            for row in _matching(ledger, asset, RECORD_BOOKS, "id", document):
                yield (
                    Fate(
                        asset=asset.digest,
                        kind=kind,
                        document=row["id"],
                        disposition=row["disposition"],
                        reason=row["reason"],
                        detail=row.get("detail") or "",
                        split=_split(ledger, asset, row["id"]) if kind == "corpus" else None,
                    ),
                    row,
                )


def _split(ledger: Ledger, corpus: Asset, document: str) -> str | None:
    import pyarrow.compute

    from loresmith.data.open_tables import batches_of, open_table

    for name in corpus.files:
        if name.startswith("documents-") and ledger.blobs.exists(corpus.files[name].digest):  # it may have been erased
            with ledger.blobs.open(corpus.files[name].digest) as file:
                for batch in batches_of(open_table(file), ["id", "split"]):
                    found = batch.filter(pyarrow.compute.equal(batch["id"], pyarrow.scalar(document)))
                    if len(found):
                        return str(found["split"][0])
    return None


def _lessons(ledger: Ledger, document: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of the token-level books with the key of the action that wrote them."""
    for asset in reversed(ledger.assets.list("report")):
        if TOKEN_BOOKS not in asset.files:
            continue
        rows = _matching(ledger, asset, TOKEN_BOOKS, "document", document)
        if rows:
            makers = [edge.source for edge in ledger.lineage(asset.digest).edges if edge.target == asset.digest]
            for maker in makers:
                for row in rows:
                    yield maker, row


def _matching(ledger: Ledger, asset: Asset, book: str, column: str, document: str) -> list[dict[str, Any]]:
    """Rows of a book whose id or path is this, or whose id begins so.

    A book stays where the documents that it speaks of were erased.
    """
    import pyarrow
    import pyarrow.compute as pc

    from loresmith.data.open_tables import batches_of, open_table

    rows: list[dict[str, Any]] = []
    with ledger.blobs.open(asset.files[book].digest) as file:
        for batch in batches_of(open_table(file)):
            named = pyarrow.scalar(document)
            wanted = pc.or_(pc.equal(batch[column], named), pc.equal(batch["path"], named))
            if len(document) >= 8:
                wanted = pc.or_(wanted, pc.starts_with(batch[column], document))
            rows += batch.filter(wanted).to_pylist()
    return rows


def _witnesses(
    ledger: Ledger, document: str, lessons: Collection[tuple[str, Mapping[str, Any]]]
) -> tuple[tuple[Witness, ...], tuple[Unknown, ...], int]:
    """Models and adapters in whose lineage a training saw it; those of which it is not known; how many did not see it.

    Args:
        lessons: lines of token-level books, of the document and of its duplicates.
    """
    seen: dict[str, set[str]] = {}  # the ids that a training saw it under
    for action, row in lessons:
        if row["disposition"] in ("kept", "masked"):
            seen.setdefault(action, set()).add(row["document"])
    witnesses: list[Witness] = []
    unknown: list[Unknown] = []
    others = 0
    kinds: tuple[Literal["model", "adapter"], ...] = ("model", "adapter")
    for kind in kinds:
        for asset in reversed(ledger.assets.list(kind)):
            lineage = ledger.lineage(asset.digest)
            actions = [node.id for node in lineage.nodes if node.type == "action" and node.id in seen]
            if not actions:
                bases = unknown_bases(ledger, lineage)
                if bases:
                    unknown.append(Unknown(asset=asset.digest, kind=kind, bases=bases))
                else:
                    others += 1
                continue
            makers = {edge.source for edge in lineage.edges if edge.target == asset.digest}
            marks = [f"{mark.name}@{mark.channel}" for mark in lineage.releases if mark.asset == asset.digest]
            under = set().union(*(seen[key] for key in actions))
            witnesses.append(
                Witness(
                    asset=asset.digest,
                    kind=kind,
                    directly=not makers.isdisjoint(actions),
                    by_duplicates=() if document in under else tuple(sorted(under)),
                    actions=tuple(actions),
                    releases=tuple(sorted(marks)),
                )
            )
    return tuple(witnesses), tuple(unknown), others


def unknown_bases(ledger: Ledger, lineage: Lineage) -> tuple[str, ...]:
    """The models and adapters of a lineage of whose training no book here says anything.

    It is known of what a training made that kept its books, and of what was made from models and adapters without any
    more data to learn from, such as by merging the two: of that, as far as it is of them. It is not known of what was
    imported, by a step or by hand.
    """
    kinds = {node.id: node.kind for node in lineage.nodes if node.type == "asset"}
    made_by: dict[str, list[str]] = {}
    used_by: dict[str, set[str]] = {}
    for edge in lineage.edges:
        if edge.target in kinds:
            made_by.setdefault(edge.target, []).append(edge.source)
        else:
            used_by.setdefault(edge.target, set()).add(kinds[edge.source])

    def is_accounted_for(action: str) -> bool:
        used = used_by.get(action, set())
        return bool(used & _TRAINED and not used & _LEARNT_FROM) or _keeps_token_books(ledger, action)

    return tuple(
        digest
        for digest, kind in kinds.items()
        if kind in _TRAINED and not any(map(is_accounted_for, made_by.get(digest, ())))
    )


def _keeps_token_books(ledger: Ledger, key: str) -> bool:
    action = ledger.actions.find(key)
    outputs = action.outputs.values() if action is not None else ()
    return any(TOKEN_BOOKS in ledger.assets.get(digest).files for digest in outputs)
