"""Make a workspace, and see whether it and the machine are well."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from loresmith.sdk.call import Answer, Emit, FolderCall, Request
from loresmith.sdk.doctor import Finding, examine
from loresmith.sdk.starter import start
from loresmith.sdk.workspace import Workspace


class InitRequest(Request):
    """What `init` takes."""

    folder: Path = Field(
        description="The folder of the workspace; it is made if needed.", json_schema_extra={"positional": True}
    )
    documents: Path | None = Field(
        default=None,
        description="The folder with your files that the starter recipe reads. Default: `documents` in the "
        "workspace, where some texts to try it with are put unless it is there.",
    )
    bare: bool = Field(default=False, description="Make the workspace only: no starter recipe and no texts.")


class InitAnswer(Answer):
    """A workspace."""

    folder: Path = Field(description="The folder of the workspace.")
    written: tuple[Path, ...] = Field(description="What was written beside the ledger; what was there is left alone.")
    recipe: Path | None = Field(description="The recipe to run first.")


def _init(_folder: Path, request: InitRequest, _emit: Emit) -> InitAnswer:
    with Workspace.init(request.folder) as workspace:
        folder = workspace.place.folder
        written = () if request.bare else start(folder, request.documents)
    recipe = folder / "recipe.yaml"
    return InitAnswer(folder=folder, written=tuple(written), recipe=recipe if recipe.exists() else None)


class DoctorRequest(Request):
    """What `doctor` takes: nothing."""


class DoctorAnswer(Answer):
    """How the machine and the workspace are."""

    findings: tuple[Finding, ...] = Field(description="One for each thing that was looked at.")
    healthy: bool = Field(description="Whether nothing failed.")


def _doctor(folder: Path, _request: DoctorRequest, _emit: Emit) -> DoctorAnswer:
    findings = tuple(examine(folder))
    return DoctorAnswer(findings=findings, healthy=not any(finding.status == "failed" for finding in findings))


INIT = FolderCall(
    "init",
    "Make a workspace in a folder, with a starter recipe that runs.",
    InitRequest,
    InitAnswer,
    _init,
    example="init mine --documents ~/papers",
)
DOCTOR = FolderCall(
    "doctor",
    "Check the machine and the workspace: packages, space, database, blobs, log, telemetry.",
    DoctorRequest,
    DoctorAnswer,
    _doctor,
    failed=lambda answer: not answer.healthy,
)
