"""Look at the documents of an asset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.calls.assets import REFERENCE

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace

BEGINNING = 200
"""Characters of a text that are shown unless all of it is wanted."""


class DataShowRequest(Request):
    """What `data show` takes."""

    asset: str = Field(description=REFERENCE, json_schema_extra={"positional": True})
    limit: int = Field(default=10, ge=0, le=100_000, description="How many rows to show at most, from the first on.")
    full: bool = Field(default=False, description=f"Show whole texts, not their first {BEGINNING} characters.")


class DataShowAnswer(Answer):
    """Some rows of an asset."""

    digest: str = Field(description="The asset's identity.")
    kind: str = Field(description="What it is: documents, corpus or dataset.")
    rows_in_all: int = Field(description="How many documents or conversations it has.")
    rows: tuple[dict[str, Any], ...] = Field(description="The first of them, by column.")


def _show(workspace: Workspace, request: DataShowRequest, _emit: Emit) -> DataShowAnswer:
    from loresmith.data.asset_rows import AssetRows

    asset = workspace.ledger.assets.find(request.asset)
    rows = AssetRows(workspace.ledger.assets.directory(asset.digest))
    shown: list[dict[str, Any]] = []
    for batch in rows.batches(rows.schema.names):
        shown += batch.slice(0, request.limit - len(shown)).to_pylist()
        if len(shown) >= request.limit:
            break
    if not request.full:
        for row in shown:
            for name in ("text", "messages"):
                if name in row:
                    row[name] = row[name][:BEGINNING]
    return DataShowAnswer(digest=asset.digest, kind=asset.kind, rows_in_all=rows.count(), rows=tuple(shown))


DATA_SHOW = Call(
    "data show",
    "Show documents of a corpus, or conversations of a dataset.",
    DataShowRequest,
    DataShowAnswer,
    _show,
    example="data show stdlib/corpus --limit 3",
)
