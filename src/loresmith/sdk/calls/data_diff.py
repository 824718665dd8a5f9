"""Hold two corpora against one another."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import UserError
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.calls.assets import REFERENCE

if TYPE_CHECKING:
    from loresmith.data.asset_rows import AssetRows
    from loresmith.data.comparison.pairing import Change
    from loresmith.data.comparison.totals import Distribution, Totals
    from loresmith.sdk.workspace import Workspace

_LONGEST_DIFF = 400
"""Lines of one text's difference."""


class DataDiffRequest(Request):
    """What `data diff` takes."""

    before: str = Field(description=REFERENCE, json_schema_extra={"positional": True})
    after: str = Field(
        description="What to hold it against, of the same kind; written likewise.",
        json_schema_extra={"positional": True},
    )
    limit: int = Field(default=5, ge=0, le=10_000, description="How many documents of each change to name at most.")
    texts: bool = Field(default=False, description="Show what changed in the texts of those named, line by line.")


class ChangedDocument(BaseModel):
    """A document that is not the same in both."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(description="The file that it was read from, and the record in it.")
    before: str | None = Field(description="Its id before; null if it was not there.")
    after: str | None = Field(description="Its id after; null if it is not there.")
    splits: tuple[str, ...] = Field(description="Its split, before and after; one if it is the same.")
    bytes: tuple[int, ...] = Field(description="Bytes of its text, before and after; one if they are as many.")
    labels: tuple[tuple[str, ...], ...] = Field(description="Its labels, before and after; one if they are the same.")
    difference: tuple[str, ...] = Field(description="Lines of a unified diff of its texts, if they are wanted.")


class ChangeGroup(BaseModel):
    """All documents that changed in one way."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    change: str = Field(description="added, removed, changed (the text), moved (to another split) or relabelled.")
    documents: int = Field(description="How many.")
    bytes: int = Field(description="Bytes of their texts, after; of what was removed, before.")
    first: tuple[ChangedDocument, ...] = Field(description="The first of them.")


class CountPair(BaseModel):
    """How much there is before and after."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str = Field(description="By what it is counted: language, media_type, split, source or folder.")
    value: str = Field(description="The value of it.")
    documents: tuple[int, int] = Field(description="Documents before and after.")
    bytes: tuple[int, int] = Field(description="Bytes of text before and after.")


class ScorePair(BaseModel):
    """How a score is distributed before and after, over all documents that were scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="The score, or `flag NAME`.")
    documents: tuple[int, int] = Field(description="How many documents have it.")
    before: tuple[float, float, float] | None = Field(description="A tenth, half and nine tenths are not above these.")
    after: tuple[float, float, float] | None = Field(description="Likewise.")


class DataDiffAnswer(Answer):
    """What differs between two assets."""

    before: str = Field(description="The digest of the first.")
    after: str = Field(description="The digest of the second.")
    same: int = Field(description="Documents whose text, split and labels are the same.")
    documents: tuple[int, int] = Field(description="Documents in all, before and after.")
    bytes: tuple[int, int] = Field(description="Bytes of text in all, before and after.")
    changes: tuple[ChangeGroup, ...] = Field(
        description="What changed, by kind of change; those that did not, left out."
    )
    counts: tuple[CountPair, ...] = Field(description="Where there is not as much before as after.")
    scores: tuple[ScorePair, ...] = Field(description="Scores and flags whose distribution is not the same.")


def _diff(workspace: Workspace, request: DataDiffRequest, _emit: Emit) -> DataDiffAnswer:
    from loresmith.data.asset_rows import AssetRows
    from loresmith.data.comparison.pairing import pair_documents
    from loresmith.data.comparison.totals import distributions, totals_of

    assets = [workspace.ledger.assets.find(reference) for reference in (request.before, request.after)]
    names = (request.before, request.after)
    directories = [workspace.ledger.assets.directory(asset.digest) for asset in assets]
    one, other = (AssetRows(*found) for found in zip(directories, names, strict=True))
    if one.conversations != other.conversations:
        raise UserError("one of them holds conversations and the other documents", where=" and ".join(names))
    with tempfile.TemporaryDirectory(prefix="loresmith-") as folder:
        pairing = pair_documents(one, other, request.limit, Path(folder) / "pairs")
    totals = totals_of(one), totals_of(other)
    return DataDiffAnswer(
        before=assets[0].digest,
        after=assets[1].digest,
        same=pairing.same,
        documents=(totals[0].documents, totals[1].documents),
        bytes=(totals[0].bytes, totals[1].bytes),
        changes=tuple(
            ChangeGroup(
                change=change,
                documents=count,
                bytes=pairing.bytes[change],
                first=tuple(_named(pairing.first[change], change, one, other, request.texts)),
            )
            for change, count in pairing.counts.items()
            if count
        ),
        counts=tuple(_counts(*totals)),
        scores=tuple(_scores(distributions(directories[0]), distributions(directories[1]))),
    )


def _named(
    pairs: list[tuple[int, int]], change: Change, one: AssetRows, other: AssetRows, texts: bool
) -> Iterator[ChangedDocument]:
    from loresmith.data.comparison.pairing import NOBODY, place_name
    from loresmith.data.looking import rows_at

    text = "messages" if one.conversations else "text"
    usual = ["id", "path", "line", "split", "labels", "bytes", *((text,) if texts and change == "changed" else ())]

    def rows(asset: AssetRows, numbers: Iterator[int]) -> dict[int, dict[str, Any]]:
        columns = [name for name in usual if name in asset.schema.names]
        return dict(rows_at(asset, columns, sorted(number for number in numbers if number != NOBODY)))

    before, after = rows(one, (pair[0] for pair in pairs)), rows(other, (pair[1] for pair in pairs))
    for left, right in pairs:
        sides = [found for found in (before.get(left), after.get(right)) if found is not None]
        yield ChangedDocument(
            path=place_name(sides[0]),
            before=before[left]["id"] if left in before else None,
            after=after[right]["id"] if right in after else None,
            splits=_different([side.get("split", "") for side in sides]),
            bytes=_different([side["bytes"] for side in sides]),
            labels=_different([tuple(side["labels"]) for side in sides]),
            difference=tuple(_difference(*(side[text] for side in sides))) if text in sides[0] else (),
        )


def _different(values: list[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


def _difference(before: str, after: str) -> Iterator[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="", n=2)
    for number, line in enumerate(lines):
        if number == _LONGEST_DIFF:
            yield "... and more"
            return
        yield line


def _counts(one: Totals, other: Totals) -> Iterator[CountPair]:
    nothing = (0, 0)
    for column in dict.fromkeys([*one.by, *other.by]):
        before, after = one.by.get(column, {}), other.by.get(column, {})
        for value in sorted(before.keys() | after.keys()):
            left, right = before.get(value, nothing), after.get(value, nothing)
            if left != right:
                yield CountPair(column=column, value=value, documents=(left[0], right[0]), bytes=(left[1], right[1]))


def _scores(one: Mapping[str, Distribution], other: Mapping[str, Distribution]) -> Iterator[ScorePair]:
    for name in sorted(one.keys() | other.keys()):
        before, after = one.get(name), other.get(name)
        if before != after:
            yield ScorePair(
                name=name,
                documents=(before.count if before else 0, after.count if after else 0),
                before=(before.low, before.middle, before.high) if before else None,
                after=(after.low, after.middle, after.high) if after else None,
            )


DATA_DIFF = Call(
    "data diff",
    "Say what came, went and changed between two corpora.",
    DataDiffRequest,
    DataDiffAnswer,
    _diff,
    example="data diff 3fa1c209 stdlib/corpus --texts",
)
