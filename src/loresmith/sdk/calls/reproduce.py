"""Run an asset's lineage again, and see whether the same comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from loresmith.factory.reproduction.report import Reproduction
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.calls.assets import REFERENCE

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace


class ReproduceRequest(Request):
    """What `reproduce` takes."""

    model: str = Field(description=REFERENCE, json_schema_extra={"positional": True})
    threads: int | None = Field(
        default=None,
        ge=1,
        description="CPU threads that each step gets. Default: as many as on record, since their number may decide the "
        "last bit of a sum.",
    )
    keep: bool = Field(
        default=False, description="Keep what was made, with logs and numbers, in a folder that the answer names."
    )


class ReproduceAnswer(Answer, Reproduction):
    """What it showed. The receipt `reproduction` of the asset says the same under a signature."""


def _reproduce(workspace: Workspace, request: ReproduceRequest, emit: Emit) -> ReproduceAnswer:
    found = workspace.assets[request.model].reproduce(emit, threads=request.threads, keep=request.keep)
    return ReproduceAnswer(**dict(found))


REPRODUCE = Call(
    "reproduce",
    "Run a model's lineage again from its sources, and say whether the same comes of it, bit for bit.",
    ReproduceRequest,
    ReproduceAnswer,
    _reproduce,
    failed=lambda answer: not answer.same,
    example="reproduce stdlib@production",
)
