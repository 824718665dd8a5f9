"""What callers said of answers, as a dataset to learn from."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from loresmith.errors import UserError
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.serving.audit.moments import MOMENT, moment_of

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace

_RECIPE = """\
name: feedback
steps:
  collect: {{step: ingest-messages, path: feedback.jsonl, on_error: quarantine, validation_share: {share}}}
"""


class CollectRequest(Request):
    """What `feedback collect` takes."""

    because: str = Field(description="Why you read what others said; it stays on the record.")
    since: str | None = Field(default=None, description=f"Feedback of this time and later: {MOMENT}.")
    until: str | None = Field(default=None, description="Feedback before this time, said in the same way.")
    release: str | None = Field(default=None, description="Feedback on answers of this release.")
    tenant: str | None = Field(default=None, description="Feedback of this tenant's callers.")
    validation_share: float = Field(
        default=0.05, ge=0, lt=1, description="Share of the conversations held out to watch training, from 0 to 1."
    )


class CollectAnswer(Answer):
    """The dataset that was made."""

    digest: str = Field(description="The dataset's identity; `feedback/collect` names it until the next is made.")
    run: str = Field(description="The run that made it.")
    records: dict[str, int] = Field(description="Conversations, by what they come from: thumb, correction, preference.")
    left_out: dict[str, int] = Field(description="Feedback that none was made of, by the reason.")
    quarantined: int = Field(description="Conversations that cannot be learnt from; the run's books say why.")
    labels: tuple[str, ...] = Field(description="The labels of the answers, which hold for the dataset too.")


def _collect(workspace: Workspace, request: CollectRequest, _emit: Emit) -> CollectAnswer:
    from loresmith.sdk.calls.audit import complete_record, keys_of
    from loresmith.serving.feedback.collecting import Collected, collect

    if not request.because.strip():
        raise UserError("reading what others said needs a reason", where="--because")
    complete_record(workspace)
    chosen: dict[str, str] = {}
    for name in ("since", "until"):
        if said := getattr(request, name):
            chosen[name] = moment_of(said, where=f"--{name}")
    chosen |= {name: said for name in ("release", "tenant") if (said := getattr(request, name))}
    said = json.dumps(chosen, sort_keys=True)
    workspace.ledger.audit_records.note("audit-read", f"feedback of {said}, because {request.because}")
    collected = Collected()
    with tempfile.TemporaryDirectory(prefix="feedback-", dir=workspace.place.state) as name:
        folder = Path(name)
        with (folder / "feedback.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(collect(workspace.ledger, keys_of(workspace), collected, **chosen))
        if not collected.records:
            why = "; ".join(f"{count} {reason}" for reason, count in sorted(collected.left_out.items()))
            raise UserError(f"there is no feedback to learn from{f' ({why})' if why else ''}")
        (folder / "recipe.yaml").write_text(_RECIPE.format(share=request.validation_share), encoding="utf-8")
        run = workspace.run(folder / "recipe.yaml")
    asset = workspace.ledger.assets.find("feedback/collect.dataset")
    kept = sum(asset.metadata["records"].values())
    return CollectAnswer(
        digest=asset.digest,
        run=run.id,
        records=dict(sorted(collected.records.items())),
        left_out=dict(sorted(collected.left_out.items())),
        quarantined=sum(collected.records.values()) - kept,
        labels=asset.labels,
    )


COLLECT = Call(
    "feedback collect",
    "Make a dataset of what callers said of answers, with their consent and with the labels of the answers.",
    CollectRequest,
    CollectAnswer,
    _collect,
    example='feedback collect --release acme --since 30d --because "the monthly fine-tuning"',
)
