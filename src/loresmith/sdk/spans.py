"""Stretches of documents' texts, and where in the organisation's files they come from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import UserError
from loresmith.ledger.erasures import effect_of

if TYPE_CHECKING:
    from loresmith.data.asset_rows import AssetRows
    from loresmith.ledger import Ledger
    from loresmith.sdk.tracing import Trace

_SPAN = re.compile(r"([0-9]+)-([0-9]+)")


def require_span(written: str | None) -> str | None:
    """What was written, if it is a span: `120-180` is character 120 up to 179, from 0. Raises ValueError."""
    if written is not None and _SPAN.fullmatch(written) is None:
        raise ValueError(f"should be two numbers with a hyphen, such as 120-180, got {written!r}")
    return written


class ShownPlace(BaseModel):
    """Where in the organisation's files something comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(description="The file, and the record in it, if it has some.")
    pages: tuple[int, ...] = Field(description="The pages, slides, sheets or chapters; empty where there are none.")
    start: int = Field(description="Its first byte in the file.")
    end: int = Field(description="The byte behind its last.")
    exact: bool = Field(description="Whether these bytes are those of the span alone, and not of the whole document.")


class TracedSpan(BaseModel):
    """Characters of a document's text as one asset has it, and where they come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asset: str = Field(description="Digest of the asset: rules may have changed the text from one to the next.")
    kind: str = Field(description="Kind of that asset: documents or corpus.")
    text: str = Field(description="What the characters say.")
    place: ShownPlace = Field(description="Where they come from.")


def span_of(written: str) -> tuple[int, int]:
    """The first character and the one behind the last."""
    start, end = map(int, written.split("-"))
    return start, end


def places_of(rows: AssetRows, found: Sequence[Mapping[str, Any]], span: tuple[int, int] | None) -> list[ShownPlace]:
    """Where some documents of an asset, or the same characters of each, come from.

    Args:
        found: rows, with `id` and `loresmith.data.places.PLACE_COLUMNS` as far as the asset has them.

    Raises:
        UserError: a text has no such characters.
    """
    from loresmith.data.looking import edits_of
    from loresmith.data.places import place_of

    edited = edits_of(rows.directory, [row["id"] for row in found if row.get("pieces")])
    places = []
    for row in found:
        try:
            place = place_of(row, *(span or (0, len(row["text"]))), edited.get(row["id"], ()))
        except ValueError as error:
            raise UserError(str(error), where="--span", hint=f"the document is {row['id']} ({row['path']})") from None
        shown = ShownPlace(**vars(place))
        places.append(shown if span is not None else _of_whole(shown, row))
    return places


def _of_whole(place: ShownPlace, row: Mapping[str, Any]) -> ShownPlace:
    start = row["source_start"]
    return place.model_copy(update={"start": start, "end": start + row["source_bytes"], "exact": True})


def trace_span(ledger: Ledger, trace: Trace, span: tuple[int, int]) -> tuple[TracedSpan, ...]:
    """Where these characters of a traced document come from, in every asset that has its text, oldest first.

    Raises:
        UserError: no asset has the text, or none has it so long.
    """
    from loresmith.data.asset_rows import AssetRows
    from loresmith.data.conditions.condition import Condition
    from loresmith.data.looking import look
    from loresmith.data.places import PLACE_COLUMNS

    marks = ledger.erasures.marks()
    traced, refused = [], None
    for fate in trace.fates:
        is_its_own = fate.document == trace.document and fate.kind in ("documents", "corpus")
        if not is_its_own or effect_of(marks.get(fate.asset, ())) == "erased":
            continue
        rows = AssetRows(ledger.assets.directory(fate.asset))
        columns = ["id", *(name for name in PLACE_COLUMNS if name in rows.schema.names)]
        found = [row for _, row in look(rows, Condition(f"id = '{trace.document}'", rows.schema), columns, 1).rows]
        try:
            places = places_of(rows, found, span)
        except UserError as error:
            refused = error
            continue
        for row, place in zip(found, places, strict=True):
            text = row["text"][slice(*span)]
            traced.append(TracedSpan(asset=fate.asset, kind=fate.kind, text=text, place=place))
    if not traced:
        raise refused or UserError(
            f"no asset has the text of {trace.document} ({trace.path})",
            where="--span",
            hint="`loresmith trace document` without --span says what became of it; a document that was merged went on "
            "under another id, which stands there",
        )
    return tuple(traced)
