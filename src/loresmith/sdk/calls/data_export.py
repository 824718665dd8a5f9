"""Give documents or conversations to another program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from loresmith.ledger.faults import file_faults
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.calls.assets import REFERENCE
from loresmith.sdk.calls.data_show import WHERE

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace


class DataExportRequest(Request):
    """What `data export` takes."""

    asset: str = Field(description=REFERENCE, json_schema_extra={"positional": True})
    to: Path = Field(
        description="A file that is not there yet, .jsonl, .jsonl.gz, .jsonl.zst or .parquet; or a folder that is new "
        "or empty."
    )
    format: Literal["jsonl", "parquet"] | None = Field(
        default=None, description="What to write into a folder. Default: parquet."
    )
    split: Literal["train", "validation", "test"] | None = Field(default=None, description="Only this split.")
    where: str | None = Field(
        default=None, min_length=1, description=f"Which rows. {WHERE}", json_schema_extra={"metavar": "CONDITION"}
    )


class DataExportAnswer(Answer):
    """What was written."""

    digest: str = Field(description="The asset's identity.")
    kind: str = Field(description="What it is: documents, corpus or dataset.")
    to: Path = Field(description="The file or folder.")
    manifest: Path = Field(description="A file beside it, or in it, that says what was written.")
    files: int = Field(description="How many files of rows there are.")
    rows: int = Field(description="How many documents or conversations.")
    bytes: int = Field(description="The bytes of their texts.")
    labels: tuple[str, ...] = Field(description="The asset's access labels, which hold for the files too.")
    labels_of_rows: dict[str, int] = Field(description="How many of what was written carry each label.")


def _export(workspace: Workspace, request: DataExportRequest, _emit: Emit) -> DataExportAnswer:
    from loresmith.data.asset_rows import AssetRows
    from loresmith.data.conditions.condition import Condition
    from loresmith.data.exporting import Export, export

    asset = workspace.ledger.assets.find(request.asset)
    rows = AssetRows(workspace.ledger.assets.directory(asset.digest), called=request.asset)
    condition = Condition(request.where, rows.schema) if request.where is not None else None
    known = {
        "asset": asset.digest,
        "kind": asset.kind,
        "labels": list(asset.labels),
        "split": request.split,
        "where": request.where,
    }
    with file_faults(request.to):
        done = export(rows, Export(request.to, request.format, condition, request.split, known))
    return DataExportAnswer(
        digest=asset.digest,
        kind=asset.kind,
        to=request.to,
        manifest=done.manifest,
        files=len(done.files),
        rows=done.rows,
        bytes=done.bytes,
        labels=asset.labels,
        labels_of_rows=dict(sorted(done.labels.items())),
    )


DATA_EXPORT = Call(
    "data export",
    "Write documents or conversations as JSON Lines or Parquet, with a manifest; nothing is overwritten.",
    DataExportRequest,
    DataExportAnswer,
    _export,
    example="data export stdlib/corpus --split train --to corpus.jsonl.zst",
)
