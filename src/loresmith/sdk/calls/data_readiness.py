"""Say what a corpus is enough for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from loresmith.advice.readiness import Readiness
from loresmith.errors import UserError
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.calls.assets import REFERENCE
from loresmith.sdk.readiness import HTML

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace


class ReadinessRequest(Request):
    """What `data readiness` takes."""

    corpus: str = Field(description=REFERENCE, json_schema_extra={"positional": True})
    tokenizer: str | None = Field(
        default=None, description="The tokenizer to count tokens by. Default: a small one, learnt from the corpus."
    )
    no_pilot: bool = Field(
        default=False, description="Train no small models: all but the learning curve, in less than a minute."
    )
    to: Path | None = Field(
        default=None,
        description="Put readiness.html and readiness.json into this folder as well; it is new or empty.",
        json_schema_extra={"metavar": "FOLDER"},
    )
    settings: tuple[str, ...] = Field(
        default=(),
        description="A setting of the step, such as `pilot_tokens=5M`; `loresmith steps readiness` lists them. May be "
        "given several times.",
        json_schema_extra={"option": "set", "metavar": "KEY=VALUE"},
    )


class ReadinessAnswer(Answer, Readiness):
    """The report, as it stands in readiness.json, and where it is."""

    run: str = Field(description="The run that made it, or found it made.")
    report: str = Field(description="Digest of the asset.")
    html: Path = Field(description="The page for people.")
    overdue: str = Field(
        description="Which documents may not be kept any more today, so that no step trains on the corpus; empty: none."
    )


def _readiness(workspace: Workspace, request: ReadinessRequest, emit: Emit) -> ReadinessAnswer:
    from loresmith.data.retention import overdue, today

    if request.to is not None and request.to.exists() and (not request.to.is_dir() or any(request.to.iterdir())):
        raise UserError("the folder is not empty", where=str(request.to), hint="name a new one")
    found = workspace.assets[request.corpus].readiness(
        emit, tokenizer=request.tokenizer, pilot=not request.no_pilot, settings=request.settings
    )
    html = found.asset.export(request.to) / HTML if request.to is not None else found.html
    late = overdue(workspace.ledger.assets.directory(found.content.corpus), today())
    said = f"{late.sentence}; {late.hint}" if late is not None else ""
    return ReadinessAnswer(**dict(found.content), run=found.run, report=found.asset.digest, html=html, overdue=said)


DATA_READINESS = Call(
    "data readiness",
    "Say what a corpus is enough for, and why: retrieval, fine-tuning, continued or full pre-training.",
    ReadinessRequest,
    ReadinessAnswer,
    _readiness,
    example="data readiness stdlib/corpus --to readiness",
)
