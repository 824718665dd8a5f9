"""Look at the documents of an asset: those that a condition is true of, and where each comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from loresmith.errors import UserError
from loresmith.nearest import unknown_name
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.calls.assets import REFERENCE
from loresmith.sdk.spans import ShownPlace, places_of, require_span, span_of

if TYPE_CHECKING:
    from loresmith.data.asset_rows import AssetRows
    from loresmith.data.looking import Looked
    from loresmith.sdk.workspace import Workspace

BEGINNING = 200
"""Characters of a text that are shown unless all of it is wanted."""

WHERE = (
    "A condition on columns, as in SQL: `language = 'de' AND scores.words > 50`, `'restricted' IN labels`, "
    "`path LIKE 'manuals/%'`; see docs/corpus.md."
)
_OF_DOCUMENTS = (
    *("media_type", "language", "licence", "labels", "split", "group", "bytes", "repeat", "profile", "flags"),
    "text",
)
_OF_MEDIA = ("media_type", "licence", "labels", "metadata")
_OF_CONVERSATIONS = ("line", "licence", "labels", "split", "group", "bytes", "messages")


class DataShowRequest(Request):
    """What `data show` takes."""

    asset: str = Field(description=REFERENCE, json_schema_extra={"positional": True})
    where: str | None = Field(
        default=None, min_length=1, description=f"Which rows. {WHERE}", json_schema_extra={"metavar": "CONDITION"}
    )
    columns: tuple[str, ...] = Field(
        default=(),
        description="A column to show, beside id and place; may be given again. Default: those that say most.",
        json_schema_extra={"option": "column"},
    )
    limit: int = Field(default=10, ge=0, le=100_000, description="How many rows to show at most, from the first on.")
    media: bool = Field(
        default=False, description="Show the media documents of a corpus: pictures and recordings, by their metadata."
    )
    full: bool = Field(default=False, description=f"Show whole texts, not their first {BEGINNING} characters.")
    span: str | None = Field(
        default=None,
        description="Say where these characters of each text come from, and show them: `120-180` is character 120 up "
        "to 179, from 0.",
    )

    _span_is_one = field_validator("span")(require_span)


class ShownRow(BaseModel):
    """A document or a conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(description="Its number in the asset, from 1.")
    id: str = Field(description="Its id.")
    path: str = Field(description="The file that it was read from, and the record in it.")
    place: ShownPlace | None = Field(description="Where it, or the span asked for, comes from; null of conversations.")
    values: dict[str, Any] = Field(description="Its columns.")


class DataShowAnswer(Answer):
    """Some rows of an asset."""

    digest: str = Field(description="The asset's identity.")
    kind: str = Field(description="What it is: documents, corpus or dataset.")
    labels: tuple[str, ...] = Field(description="Its access labels.")
    in_all: int = Field(description="How many documents or conversations it has.")
    matching: int = Field(description="Of how many of them the condition is true.")
    rows: tuple[ShownRow, ...] = Field(description="The first of those.")


def _show(workspace: Workspace, request: DataShowRequest, _emit: Emit) -> DataShowAnswer:
    from loresmith.data.asset_rows import AssetRows
    from loresmith.data.conditions.condition import Condition
    from loresmith.data.looking import look
    from loresmith.data.places import PLACE_COLUMNS

    asset = workspace.ledger.assets.find(request.asset)
    rows = AssetRows(workspace.ledger.assets.directory(asset.digest), called=request.asset, media=request.media)
    condition = Condition(request.where, rows.schema) if request.where is not None else None
    wanted = _wanted_columns(request, rows)
    places = () if rows.conversations else [name for name in PLACE_COLUMNS if name in rows.schema.names]
    found = look(rows, condition, list(dict.fromkeys(["id", "path", *wanted, *places])), request.limit)
    shown_places = _places(found, request.span, rows)
    return DataShowAnswer(
        digest=asset.digest,
        kind=asset.kind,
        labels=asset.labels,
        in_all=rows.count(),
        matching=found.matching,
        rows=tuple(
            ShownRow(
                number=number,
                id=row["id"],
                path=row["path"],
                place=place,
                values={name: _shown(row[name], name, request) for name in wanted},
            )
            for (number, row), place in zip(found.rows, shown_places, strict=True)
        ),
    )


def _wanted_columns(request: DataShowRequest, rows: AssetRows) -> list[str]:
    known = rows.schema.names
    for name in request.columns:
        if name not in known:
            raise UserError(unknown_name("column", name, known), where="--column")
    usual = _OF_CONVERSATIONS if rows.conversations else _OF_MEDIA if request.media else _OF_DOCUMENTS
    return list(request.columns) or [name for name in usual if name in known]


def _places(found: Looked, span: str | None, rows: AssetRows) -> Sequence[ShownPlace | None]:
    """The place of each row, or of its span."""
    if not rows.conversations:
        return places_of(rows, [row for _, row in found.rows], span_of(span) if span is not None else None)
    if span is not None:
        raise UserError("conversations have a line, not a place for each character", where="--span")
    return [None] * len(found.rows)


def _shown(value: Any, column: str, request: DataShowRequest) -> Any:
    if column not in ("text", "messages"):
        return dict(value) if column == "scores" and value is not None else value
    if column == "text" and request.span is not None:
        return value[slice(*span_of(request.span))]
    return value if request.full else value[:BEGINNING]


DATA_SHOW = Call(
    "data show",
    "Show documents of a corpus, or conversations of a dataset, and where they come from.",
    DataShowRequest,
    DataShowAnswer,
    _show,
    example="data show stdlib/corpus --where \"language = 'python' AND bytes > 10000\" --limit 3",
)
