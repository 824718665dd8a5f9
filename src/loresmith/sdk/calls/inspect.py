"""Look at conversations as a model sees them: what is learnt, and what is only shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import UserError
from loresmith.nearest import with_article
from loresmith.sdk.call import Answer, Call, Emit, Request

if TYPE_CHECKING:
    from loresmith.data.messages_dataset import DatasetRecord
    from loresmith.ledger import Asset
    from loresmith.models.conversation import ConversationRenderer
    from loresmith.sdk.workspace import Workspace

_FOLDERS = {"tokenizer": "", "model": "", "adapter": "", "tokens": "tokenizer"}
"""Where assets of these kinds have their tokenizer."""


class InspectRequest(Request):
    """What `inspect` takes."""

    dataset: str = Field(
        description="The dataset of conversations, such as `support/talks`.", json_schema_extra={"positional": True}
    )
    tokenizer: str = Field(
        description="What renders them: a tokenizer, or a model.", json_schema_extra={"positional": True}
    )
    record: int = Field(default=1, ge=1, description="The number of the first record to show, from 1.")
    records: int = Field(default=3, ge=1, le=10_000, description="How many to show.")
    chat_template: Path | None = Field(
        default=None, description="A file with a chat template to use instead of the tokenizer's own."
    )


class RenderedPiece(BaseModel):
    """A stretch of a rendered conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(description="The text, special tokens as they are written.")
    learnt: bool = Field(description="Whether a model learns to write it; else it is only shown.")


class InspectedRecord(BaseModel):
    """A conversation as a model sees it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(description="Its number in the dataset, from 1.")
    id: str = Field(description="Its id.")
    where: str = Field(description="The file and line that it was read from.")
    split: str = Field(description="The side it is on: train or validation.")
    ids: tuple[int, ...] = Field(description="Its token ids.")
    tokens: tuple[str, ...] = Field(description="The text of each; one that is part of a character shows as `\ufffd`.")
    mask: tuple[bool, ...] = Field(description="Of each token, whether it is learnt.")
    pieces: tuple[RenderedPiece, ...] = Field(description="Its text, in stretches that are learnt or not.")

    @property
    def learnt(self) -> int:
        """Tokens that are learnt."""
        return sum(self.mask)


class InspectAnswer(Answer):
    """Conversations as a model sees them."""

    dataset: str = Field(description="The digest of the dataset.")
    tokenizer: str = Field(description="The digest of what rendered them.")
    in_all: int = Field(description="How many records the dataset has.")
    token_count: int = Field(description="Tokens of the records shown.")
    learnt_count: int = Field(description="How many of those are learnt.")
    records: tuple[InspectedRecord, ...] = Field(description="The records shown.")


def _inspect(workspace: Workspace, request: InspectRequest, _emit: Emit) -> InspectAnswer:
    dataset, tokenizer = workspace.ledger.assets.find(request.dataset, "dataset"), _what_renders(workspace, request)
    directory = workspace.ledger.assets.directory(dataset.digest)
    from loresmith.data.messages_dataset import count_records, read_records

    in_all = count_records(directory)
    if request.record > in_all:
        raise UserError(f"there is no record {request.record}: the dataset has {in_all}", where=request.dataset)
    renderer = _renderer(workspace.ledger.assets.directory(tokenizer.digest) / _FOLDERS[tokenizer.kind], request)
    records = []
    for record in read_records(directory, first=request.record):
        records.append(_inspected(record, renderer))
        if len(records) == request.records:
            break
    return InspectAnswer(
        dataset=dataset.digest,
        tokenizer=tokenizer.digest,
        in_all=in_all,
        token_count=sum(len(record.ids) for record in records),
        learnt_count=sum(record.learnt for record in records),
        records=tuple(records),
    )


def _what_renders(workspace: Workspace, request: InspectRequest) -> Asset:
    """The asset that was named; of a step with several outputs, the tokenizer."""
    assets = workspace.ledger.assets
    try:
        found = assets.find(request.tokenizer)
    except UserError:
        found = assets.find(request.tokenizer, "tokenizer")
    if found.kind not in _FOLDERS:
        raise UserError(
            f"this asset is {with_article(found.kind)}; a tokenizer or a model renders conversations",
            where=request.tokenizer,
        )
    return found


def _renderer(directory: Path, request: InspectRequest) -> ConversationRenderer:
    from loresmith.models.chat_template import read_chat_template
    from loresmith.models.conversation import ConversationRenderer
    from loresmith.models.storage import load_tokenizer

    template = read_chat_template(request.chat_template) if request.chat_template is not None else None
    return ConversationRenderer(load_tokenizer(directory), template)


def _inspected(record: DatasetRecord, renderer: ConversationRenderer) -> InspectedRecord:
    rendered = renderer.render(record.messages, record.tools, where=record.where)
    pieces: list[RenderedPiece] = []
    for piece in rendered.pieces:
        if pieces and pieces[-1].learnt == piece.learnt:
            pieces[-1] = RenderedPiece(text=pieces[-1].text + piece.text, learnt=piece.learnt)
        else:
            pieces.append(RenderedPiece(text=piece.text, learnt=piece.learnt))
    return InspectedRecord(
        number=record.number,
        id=record.id,
        where=f"{record.path}:{record.line}",
        split=record.split,
        ids=tuple(rendered.ids.tolist()),
        tokens=renderer.token_texts(rendered.ids),
        mask=tuple(rendered.assistant_mask.tolist()),
        pieces=tuple(pieces),
    )


INSPECT = Call(
    "inspect",
    "Show conversations of a dataset as a model sees them: what it learns to write, and what it is only shown.",
    InspectRequest,
    InspectAnswer,
    _inspect,
    example="inspect support/talks support/tokenizer --records 2",
)
