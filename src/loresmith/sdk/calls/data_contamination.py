"""Which evaluation cases are in which training corpora."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from loresmith.errors import UserError
from loresmith.evaluation.contamination_report import ContaminationReport, CorpusContamination
from loresmith.factory.plan import make_plan
from loresmith.factory.recipe import parse_recipe
from loresmith.nearest import with_article
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.yaml_lines import Mapped

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace

NAME = "contamination"
"""The step, its name, and that of the recipe of one step that is run."""


class DataContaminationRequest(Request):
    """What `data contamination` takes."""

    asset: str = Field(
        description="A corpus, or a suite: its digest, `recipe/step`, or the first 8 or more digits.",
        json_schema_extra={"positional": True},
    )
    suites: tuple[str, ...] = Field(
        default=(),
        description="Of a corpus: a suite that it is held against; may be given again. Default: every suite.",
        json_schema_extra={"option": "suite", "metavar": "SUITE"},
    )
    corpora: tuple[str, ...] = Field(
        default=(),
        description="Of a suite: a corpus that it is held against; may be given again. Default: every corpus.",
        json_schema_extra={"option": "corpus", "metavar": "CORPUS"},
    )


class DataContaminationAnswer(Answer):
    """What was found."""

    asset: str = Field(description="Digest of the corpus or suite that was asked about.")
    kind: str = Field(description="Which of the two it is.")
    report: str = Field(description="Digest of the report, which has every case and every place.")
    run: str = Field(description="The run that looked, or found that it had been looked at.")
    corpora: tuple[CorpusContamination, ...] = Field(description="What each corpus holds of each suite.")


def _contamination(workspace: Workspace, request: DataContaminationRequest, emit: Emit) -> DataContaminationAnswer:
    assets = workspace.ledger.assets
    asset = assets.find(request.asset)
    own, others, other_kind, named = {
        "corpus": ("corpora", "suites", "suite", request.suites),
        "suite": ("suites", "corpora", "corpus", request.corpora),
    }.get(asset.kind, ("", "", "", ()))
    if not own:
        what = f"{request.asset} is {with_article(asset.kind)}, and a corpus or a suite is needed"
        raise UserError(what, where="ASSET")
    if asset.kind == "corpus" and request.corpora:
        raise UserError("a corpus is held against suites", where="--corpus", hint="name them with --suite")
    if asset.kind == "suite" and request.suites:
        raise UserError("a suite is held against corpora", where="--suite", hint="name them with --corpus")
    if not named and not assets.list(other_kind, limit=1):
        raise UserError(
            f"there is no {other_kind} in this workspace to hold it against",
            hint="the step `ingest-suite` registers a suite, and `curate` makes a corpus",
        )
    step: dict[str, Any] = {"step": NAME, own: [asset.digest]}
    if named:
        step[others] = [assets.find(reference, kind=other_kind).digest for reference in named]
    written = Mapped({"name": NAME, "steps": {NAME: step}}, {}, "data contamination")
    plan = make_plan(parse_recipe(written, workspace.place.folder), workspace.ledger)
    run = workspace.run(plan, emit)
    report = run.steps()[0].outputs["report"]
    read = ContaminationReport.model_validate_json((assets.directory(report) / "report.json").read_bytes())
    return DataContaminationAnswer(asset=asset.digest, kind=asset.kind, report=report, run=run.id, corpora=read.corpora)


DATA_CONTAMINATION = Call(
    "data contamination",
    "Look for the cases of suites in the training text of corpora, and keep what is found as receipts on both.",
    DataContaminationRequest,
    DataContaminationAnswer,
    _contamination,
    example="data contamination manuals/corpus --suite exam/suite",
)
