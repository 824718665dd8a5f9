"""Look at assets: list them, show one, hash them again, bring one in, copy one out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from loresmith.factory.step import AssetKind
from loresmith.ledger import Action, Asset, AssetCheck, Mark, Receipt
from loresmith.ledger.erasures import effect_of
from loresmith.models.base_source import BaseSource
from loresmith.sdk.base_models import bring_in
from loresmith.sdk.call import Answer, Call, Emit, Request

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace

REFERENCE = (
    "The asset: its digest or the first 8 digits of it, `release`, `release@channel`, `recipe/step` or "
    "`recipe/step.output`."
)


class ListRequest(Request):
    """What `assets ls` takes."""

    kind: AssetKind | None = Field(default=None, description="List assets of this kind only.")
    limit: int | None = Field(default=None, ge=1, description="How many to list at most, the newest first.")


class AssetLine(Answer):
    """One asset of a list."""

    digest: str = Field(description="The asset's identity.")
    kind: str = Field(description="What it is.")
    files: int = Field(description="How many files it has.")
    size: int = Field(description="The bytes of all files together.")
    labels: tuple[str, ...] = Field(description="Access labels.")
    mark: Literal["", "erased", "tainted"] = Field(description="What erasures did to it; see docs/erasure.md.")
    created_at: str = Field(description="When the ledger first saw it; ISO 8601, UTC.")


class AssetList(Answer):
    """Some assets."""

    assets: tuple[AssetLine, ...] = Field(description="The newest first.")


class ShowRequest(Request):
    """What `assets show` takes."""

    asset: str = Field(description=REFERENCE, json_schema_extra={"positional": True})


class AssetDetail(Answer):
    """One asset, how it was made and what was checked on it."""

    asset: Asset = Field(description="What the ledger knows of it.")
    made_by: Action | None = Field(description="The action that made it first; null for what was added by hand.")
    receipts: tuple[Receipt, ...] = Field(description="The checks that were made on it, the oldest first.")
    marks: tuple[Mark, ...] = Field(description="What erasures did to it.")


class VerifyRequest(Request):
    """What `assets verify` takes."""

    asset: str | None = Field(
        default=None, description=f"{REFERENCE} Default: all assets.", json_schema_extra={"positional": True}
    )


class VerifyAnswer(Answer):
    """What hashing files again showed."""

    checks: tuple[AssetCheck, ...] = Field(description="One for each asset.")
    sound: bool = Field(description="Whether no asset has a problem.")


class ImportRequest(Request, BaseSource):
    """What `assets import` takes."""

    kind: Literal["model"] = Field(default="model", description="What it is that comes in.")


class ImportAnswer(Answer):
    """A model that came in, and its tokenizer as an asset of its own."""

    digest: str = Field(description="The model's identity.")
    tokenizer: str = Field(description="The identity of its tokenizer, which `pack` takes.")
    model_type: str = Field(description="Its architecture, by transformers' name.")
    parameters: int = Field(description="How many weights it has.")
    vocabulary_size: int = Field(description="How many tokens its tokenizer has.")
    end_of_document: str = Field(description="The token that follows every document.")
    licence: str = Field(description="Under which licence it is; empty when nobody says so.")
    origin: dict[str, Any] = Field(description="Where it came from: digests, and the package or the hub's commit.")
    parity: dict[str, Any] | None = Field(
        description="What comparing it with its source showed; null where its weights were copied as they are."
    )


class ExportRequest(Request):
    """What `assets export` takes."""

    asset: str = Field(description=REFERENCE, json_schema_extra={"positional": True})
    folder: Path = Field(description="A folder that is new or empty.", json_schema_extra={"positional": True})


class ExportAnswer(Answer):
    """A copy of an asset."""

    digest: str = Field(description="The asset's identity.")
    kind: str = Field(description="What it is.")
    folder: Path = Field(description="Where its files are now.")
    files: int = Field(description="How many files were written.")
    size: int = Field(description="How many bytes were written.")


def _list(workspace: Workspace, request: ListRequest, _emit: Emit) -> AssetList:
    marks = workspace.ledger.erasures.marks()
    return AssetList(
        assets=tuple(
            AssetLine(
                digest=asset.digest,
                kind=asset.kind,
                files=len(asset.files),
                size=asset.size,
                labels=asset.labels,
                mark=effect_of(marks.get(asset.digest, ())),
                created_at=asset.created_at,
            )
            for asset in workspace.ledger.assets.list(kind=request.kind, limit=request.limit)
        )
    )


def _show(workspace: Workspace, request: ShowRequest, _emit: Emit) -> AssetDetail:
    handle = workspace.assets[request.asset]
    return AssetDetail(
        asset=handle.asset,
        made_by=handle.made_by(),
        receipts=tuple(handle.receipts()),
        marks=workspace.ledger.erasures.marks().get(handle.digest, ()),
    )


def _verify(workspace: Workspace, request: VerifyRequest, emit: Emit) -> VerifyAnswer:
    chosen = [workspace.assets[request.asset]] if request.asset is not None else list(workspace.assets)
    checks = []
    for done, handle in enumerate(chosen):
        emit({"event": "progress", "step": "verify", "done": done, "total": len(chosen), "unit": "assets"})
        checks.append(handle.verify())
    return VerifyAnswer(checks=tuple(checks), sound=not any(check.problems for check in checks))


def _import(workspace: Workspace, request: ImportRequest, emit: Emit) -> ImportAnswer:
    def say(what: str) -> None:
        emit({"event": "log", "step": "import", "message": what})

    found = bring_in(workspace, request, say)
    facts = found.model.metadata
    return ImportAnswer(
        digest=found.model.digest,
        tokenizer=found.tokenizer.digest,
        model_type=facts["model_type"],
        parameters=facts["parameters"],
        vocabulary_size=facts["vocabulary_size"],
        end_of_document=facts["end_of_document"],
        licence=facts["licence"],
        origin=facts["origin"],
        parity=dict(found.parity) if found.parity is not None else None,
    )


def _export(workspace: Workspace, request: ExportRequest, _emit: Emit) -> ExportAnswer:
    handle = workspace.assets[request.asset]
    folder = handle.export(request.folder)
    asset = handle.asset
    return ExportAnswer(digest=asset.digest, kind=asset.kind, folder=folder, files=len(asset.files), size=asset.size)


LS = Call(
    "assets ls", "List the assets, the newest first.", ListRequest, AssetList, _list, example="assets ls --kind model"
)
SHOW = Call(
    "assets show",
    "Show an asset: its files, what made it, and what was checked on it.",
    ShowRequest,
    AssetDetail,
    _show,
    example="assets show stdlib/base",
)
VERIFY = Call(
    "assets verify",
    "Hash the files of an asset, or of all, again.",
    VerifyRequest,
    VerifyAnswer,
    _verify,
    failed=lambda answer: not answer.sound,
    example="assets verify stdlib@production",
)
IMPORT = Call(
    "assets import",
    "Bring in a base model and its tokenizer, as plain safetensors; no pickle is read and no code of its own is run.",
    ImportRequest,
    ImportAnswer,
    _import,
    example="assets import models/SmolLM2-135M",
)
EXPORT = Call(
    "assets export",
    "Copy the files of an asset to a folder of your own.",
    ExportRequest,
    ExportAnswer,
    _export,
    example="assets export stdlib my-model",
)
