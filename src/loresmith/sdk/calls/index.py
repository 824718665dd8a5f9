"""Index a corpus for retrieval, and look for passages in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from loresmith.factory.recipe import NAME_PATTERN
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.calls.assets import REFERENCE

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace


class IndexBuildRequest(Request):
    """What `index build` takes."""

    corpus: str = Field(description=REFERENCE, json_schema_extra={"positional": True})
    name: str = Field(
        default="index",
        pattern=NAME_PATTERN,
        max_length=64,
        description="What the index is called: it is found as `NAME/passages`.",
    )
    embedder: str | None = Field(
        default=None,
        description="What makes vectors, by which passages are found that say it in other words: `minilm`, `none`, a "
        "model asset, or a folder with model.onnx, tokenizer.json and embedder.json. Default: `minilm` where "
        "`loresmith[embedder]` is installed, and `none` elsewhere.",
    )
    settings: tuple[str, ...] = Field(
        default=(),
        description="A setting of the step, such as `words=200`; `loresmith steps index` lists them. May be given "
        "several times.",
        json_schema_extra={"option": "set", "metavar": "KEY=VALUE"},
    )


class IndexPartition(BaseModel):
    """The passages of the documents that have exactly some labels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: tuple[str, ...] = Field(description="Empty: everybody may see them.")
    documents: int = Field(description="How many documents.")
    passages: int = Field(description="How many passages.")


class LeftOut(BaseModel):
    """Documents that are not in an index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(description="Why; books.parquet of the asset names each of them.")
    documents: int = Field(description="How many.")


class IndexBuildAnswer(Answer):
    """An index."""

    run: str = Field(description="The run that made it, or found it made.")
    index: str = Field(description="Digest of the asset.")
    reference: str = Field(description="By which it is found: `NAME/passages`.")
    embedder: str | None = Field(description="What made its vectors; null: passages are found by words alone.")
    partitions: tuple[IndexPartition, ...] = Field(description="One for each set of labels.")
    left_out: tuple[LeftOut, ...] = Field(description="What is not in it.")


class IndexSearchRequest(Request):
    """What `index search` takes."""

    index: str = Field(
        description="The index: `recipe/step`, its digest or the first 8 digits of it.",
        json_schema_extra={"positional": True},
    )
    query: str = Field(min_length=1, description="The question.", json_schema_extra={"positional": True})
    as_labels: tuple[str, ...] = Field(
        default=(),
        description="Labels that whoever asks holds, with commas between them. Default: none: what everybody may "
        "see. May be given several times.",
        json_schema_extra={"metavar": "LABELS"},
    )
    limit: int = Field(default=5, ge=1, le=100, description="How many passages, at most.")


class FoundPassage(BaseModel):
    """A passage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(description="Its rank, from 1.")
    document: str = Field(description="The document's id.")
    path: str = Field(description="The file that it was read from, and the record in it, if it has some.")
    pages: tuple[int, ...] = Field(description="The pages, slides, sheets or chapters; empty where there are none.")
    start: int = Field(description="Its first character in the document's text.")
    end: int = Field(description="The character behind its last.")
    byte_start: int = Field(description="Its first byte in the file.")
    byte_end: int = Field(description="The byte behind its last.")
    exact: bool = Field(description="Whether these bytes are those of the passage alone, not of the whole document.")
    labels: tuple[str, ...] = Field(description="Of the document.")
    media_type: str = Field(description="Of the document; empty where it is not known.")
    language: str = Field(description="Of the document; empty where it is not known.")
    licence: str = Field(description="Of the document; empty where it is not known.")
    retain_until: str = Field(description="The last day on which the document may be kept; empty: none is set.")
    text: str = Field(description="What it says.")
    score: float = Field(description="By which it was ranked; to be compared within this answer only.")
    cosine: float | None = Field(description="How near it is to the question by the embedder; null without one.")


class IndexSearchAnswer(Answer):
    """What was found."""

    index: str = Field(description="Digest of the asset.")
    passages: tuple[FoundPassage, ...] = Field(description="The best first.")


def _build(workspace: Workspace, request: IndexBuildRequest, emit: Emit) -> IndexBuildAnswer:
    from loresmith.sdk.indexing import STEP, build_index
    from loresmith.serving.retrieval.layout import read_facts

    run = build_index(
        workspace,
        request.corpus,
        emit,
        name=request.name,
        embedder=request.embedder,
        settings=request.settings,
    )
    action = run.actions()[STEP]
    digest = action.outputs["index"]
    facts = read_facts(workspace.ledger.assets.directory(digest))
    documents = next(account for account in action.books.accounts if account.unit == "documents")
    return IndexBuildAnswer(
        run=run.id,
        index=digest,
        reference=f"{request.name}/{STEP}",
        embedder=facts.embedder.name if facts.embedder is not None else None,
        partitions=tuple(
            IndexPartition(labels=each.labels, documents=each.documents, passages=each.passages)
            for each in facts.partitions
        ),
        left_out=tuple(
            LeftOut(reason=entry.reason, documents=entry.count)
            for entry in documents.left
            if entry.disposition != "kept"
        ),
    )


def _search(workspace: Workspace, request: IndexSearchRequest, _emit: Emit) -> IndexSearchAnswer:
    from loresmith.serving.retrieval.opening import KIND, open_index

    labels = frozenset(label.strip() for given in request.as_labels for label in given.split(",") if label.strip())
    asset = workspace.ledger.assets.find(request.index, kind=KIND)
    found = open_index(workspace.ledger, asset.digest).retrieve(request.query, labels, lambda _: True, request.limit)
    return IndexSearchAnswer(index=asset.digest, passages=tuple(FoundPassage(**vars(passage)) for passage in found))


INDEX_BUILD = Call(
    "index build",
    "Cut the documents of a corpus into passages and index them, for retrieval.",
    IndexBuildRequest,
    IndexBuildAnswer,
    _build,
    example="index build manuals/corpus --name manuals",
)
INDEX_SEARCH = Call(
    "index search",
    "Look for passages in an index, as somebody who holds some labels.",
    IndexSearchRequest,
    IndexSearchAnswer,
    _search,
    example='index search manuals/passages "where is the filter?" --as-labels clinical',
)
