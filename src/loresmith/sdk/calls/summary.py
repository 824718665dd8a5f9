"""One page on a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from loresmith.errors import UserError
from loresmith.sdk.call import Call, Emit, Request
from loresmith.sdk.summary import Summary, summarise

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace


class SummaryRequest(Request):
    """What `summary` takes."""

    run: str | None = Field(
        default=None, description="The run's id. Default: the newest.", json_schema_extra={"positional": True}
    )


def _summary(workspace: Workspace, request: SummaryRequest, _emit: Emit) -> Summary:
    if request.run is not None:
        return summarise(workspace, workspace.runs[request.run])
    newest = next(iter(workspace.runs), None)
    if newest is None:
        raise UserError("there is no run yet", hint="`loresmith run recipe.yaml` makes one")
    return summarise(workspace, newest)


SUMMARY = Call(
    "summary",
    "Show one page on a run: what went in and out, the curve, the scores, what to do next.",
    SummaryRequest,
    Summary,
    _summary,
    example="summary",
)
