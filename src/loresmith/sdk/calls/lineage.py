"""Draw how an asset came to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from loresmith.ledger import Lineage
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.calls.assets import REFERENCE

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace


class LineageRequest(Request):
    """What `lineage` takes."""

    asset: str = Field(description=REFERENCE, json_schema_extra={"positional": True})
    format: Literal["text", "mermaid", "json"] = Field(
        default="text", description="A list for people, a Mermaid flowchart, or the graph as JSON."
    )


class LineageAnswer(Answer):
    """How an asset came to be."""

    lineage: Lineage = Field(description="The graph, from the first inputs to the asset and the releases of it.")
    mermaid: str = Field(description="The same as a Mermaid flowchart.")


def _lineage(workspace: Workspace, request: LineageRequest, _emit: Emit) -> LineageAnswer:
    lineage = workspace.assets[request.asset].lineage()
    return LineageAnswer(lineage=lineage, mermaid=lineage.mermaid())


LINEAGE = Call(
    "lineage",
    "Show how an asset came to be, from files to release.",
    LineageRequest,
    LineageAnswer,
    _lineage,
    example="lineage stdlib --format mermaid",
)
