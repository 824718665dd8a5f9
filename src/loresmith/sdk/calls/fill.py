"""Have a released model fill the gaps of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from loresmith.errors import UserError
from loresmith.models.fill_in_the_middle import Order
from loresmith.sdk.call import Answer, Call, Emit
from loresmith.sdk.calls.models import Writing, released_model, written
from loresmith.sdk.tracing import unknown_bases

if TYPE_CHECKING:
    from loresmith.ledger import Ledger
    from loresmith.sdk.workspace import Workspace

GAP = "[[...]]"


class FillRequest(Writing):
    """What `fill` takes."""

    text: str = Field(
        description=f"The text, each of its gaps written as `{GAP}`.", json_schema_extra={"positional": True}
    )
    gap: str = Field(default=GAP, min_length=1, description="How a gap is written, where that would mean something.")
    order: Order = Field(
        default="psm",
        description="The order in which the model is shown the two sides: prefix, suffix, middle, or suffix, prefix, "
        "middle.",
    )
    temperature: float = Field(
        default=0, ge=0, le=10, description="How daring the choice of tokens is; 0 takes the likeliest each time."
    )
    max_new_tokens: int = Field(default=64, ge=1, le=1_000_000, description="How many tokens to write a gap at most.")


class FillAnswer(Answer):
    """A text whose gaps a model has filled."""

    asset: str = Field(description="The digest of the model.")
    text: str = Field(description="The whole text, with its gaps filled.")
    fillings: tuple[str, ...] = Field(description="What was written into each gap.")
    seconds: float = Field(description="Wall time, without loading the model.")


def _fill(workspace: Workspace, request: FillRequest, emit: Emit) -> FillAnswer:
    """From the first gap to the last: each is filled knowing all before it and what follows up to the next."""
    text, *sides = request.text.split(request.gap)
    if not sides:
        raise UserError(
            "the text has no gap", where="TEXT", hint=f"write {request.gap} where something is missing, or say --gap"
        )
    handle = released_model(workspace, request.release, request.channel)
    _require_taught(workspace.ledger, handle.digest, request.release)
    model, tokenizer = handle.model()
    from loresmith.models.fill import fill

    fillings: list[str] = []
    seconds = 0.0
    emit({"event": "text", "text": text})
    for side in sides:
        pieces = fill(model, tokenizer, text, side, order=request.order, **request.sampling())
        filling, took = written(pieces, emit, "filling")
        emit({"event": "text", "text": side})
        fillings.append(filling)
        seconds += took
        text += filling + side
    return FillAnswer(asset=handle.digest, text=text, fillings=tuple(fillings), seconds=seconds)


def _require_taught(ledger: Ledger, digest: str, called: str) -> None:
    """Raise UserError if all that trained the model is on record, and none of it taught it to fill.

    Its tokenizer says nothing of that: `train-tokenizer` gives the tokens for it to every model. Of a base that comes
    from elsewhere nobody here knows.
    """
    lineage = ledger.lineage(digest)
    if unknown_bases(ledger, lineage):
        return
    actions = (ledger.actions.find(node.id) for node in lineage.nodes if node.type == "action")
    if not any((action.config.get("fim") or {}).get("rate") for action in actions if action is not None):
        raise UserError(
            f"no training of {called} taught it to fill in the middle: it would write what might follow, and call it "
            "a filling",
            where="RELEASE",
            hint="train it with `fim: {rate: 0.5}` (docs/fill-in-the-middle.md), or have `loresmith complete` go on "
            "from the text before the gap",
        )


FILL = Call(
    "fill",
    "Have a released model fill the gaps of a text, knowing both sides of each.",
    FillRequest,
    FillAnswer,
    _fill,
    example='fill stdlib "def add(a, b): ret[[...]]a + b"',
)
