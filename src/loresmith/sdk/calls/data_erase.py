"""Erase documents from a workspace for good, and list what was erased."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from loresmith.errors import UserError
from loresmith.ledger import Erasure
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.erasure.erase import ErasureReport, alone, erase, finish

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace


class DataEraseRequest(Request):
    """What `data erase` takes."""

    document: str | None = Field(
        default=None, min_length=8, description="The id of the document, or its first 8 characters or more."
    )
    path: str | None = Field(
        default=None,
        min_length=1,
        description="Where the documents came from, as `data show` has it: a record, or a file with all that is in "
        "it, in whichever source it is.",
    )
    because: str | None = Field(default=None, description="Why, in your words; it stays on the record.")
    dry_run: bool = Field(default=False, description="Only say what would be erased, and what was made from it.")


class DataEraseAnswer(Answer):
    """What was erased, or would be."""

    report: ErasureReport | None = Field(description="Null where earlier erasures were finished, and nothing more.")
    finished: tuple[str, ...] = Field(description="Ids of erasures that had been left half done, and are done now.")


class ErasuresRequest(Request):
    """What `data erasures` takes: nothing."""


class ErasuresAnswer(Answer):
    """All erasures."""

    erasures: tuple[Erasure, ...] = Field(description="The oldest first.")


def _erase(workspace: Workspace, request: DataEraseRequest, _emit: Emit) -> DataEraseAnswer:
    ledger, state = workspace.ledger, workspace.place.state
    if request.document and request.path:
        raise UserError("--document and --path name the same thing in two ways", hint="give one of them")
    if request.dry_run:
        return _carry_out(workspace, request, ())
    if (request.document or request.path) and not (request.because or "").strip():
        raise UserError(
            "an erasure needs a reason",
            where="--because",
            hint="say why: it stays on the record; or look first, with --dry-run",
        )
    with alone(state):
        finished = tuple(erasure.id for erasure in finish(ledger, state))
        if finished and not (request.document or request.path):
            return DataEraseAnswer(report=None, finished=finished)
        return _carry_out(workspace, request, finished)


def _carry_out(workspace: Workspace, request: DataEraseRequest, finished: tuple[str, ...]) -> DataEraseAnswer:
    if not (request.document or request.path):
        raise UserError("nothing says what to erase", hint="give --document ID or --path PATH; no erasure is half done")
    report = erase(
        workspace.ledger,
        workspace.place.state,
        document=request.document,
        path=request.path,
        because=request.because or "",
        dry_run=request.dry_run,
    )
    return DataEraseAnswer(report=report, finished=finished)


def _list(workspace: Workspace, _request: ErasuresRequest, _emit: Emit) -> ErasuresAnswer:
    return ErasuresAnswer(erasures=tuple(workspace.ledger.erasures.list()))


DATA_ERASE = Call(
    "data erase",
    "Erase a document from the workspace for good, and mark everything that was made from it.",
    DataEraseRequest,
    DataEraseAnswer,
    _erase,
    example='data erase --path hr/letter.md --because "Ada asked for it"',
)
DATA_ERASURES = Call(
    "data erasures",
    "List what was erased: who, when and why.",
    ErasuresRequest,
    ErasuresAnswer,
    _list,
)
