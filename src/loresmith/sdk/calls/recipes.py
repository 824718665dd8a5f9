"""Plan a recipe, and run it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from loresmith.errors import UserError
from loresmith.factory.plan import Plan
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.calls.runs import RunDetail, detail

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace

DEFAULT_RECIPE = Path("recipe.yaml")
NEWEST = "newest"

_SETTINGS = Field(
    default=(),
    description="Change a key of the recipe first, such as `steps.base.budget_tokens=2M`. May be given several times.",
    json_schema_extra={"option": "set", "metavar": "KEY=VALUE"},
)


class PlanRequest(Request):
    """What `plan` takes."""

    recipe: Path = Field(
        default=DEFAULT_RECIPE, description="The recipe, a YAML file.", json_schema_extra={"positional": True}
    )
    settings: tuple[str, ...] = _SETTINGS
    out: Path | None = Field(
        default=None, description="Write the plan to this file, for `loresmith run` to carry out as it is."
    )


class PlanAnswer(Answer):
    """A plan, and what it comes to."""

    plan: Plan = Field(description="The recipe, resolved to the last default.")
    cached: int = Field(description="How many steps the ledger has already.")
    to_do: int = Field(description="How many steps are to be done.")
    seconds: float = Field(description="Forecast of the wall time, in seconds.")
    guessed: bool = Field(description="Whether any of the forecast is a guess, for want of past runs here.")
    written: Path | None = Field(description="The file that the plan was written to.")


def _plan(workspace: Workspace, request: PlanRequest, _emit: Emit) -> PlanAnswer:
    plan = workspace.plan(request.recipe, request.settings)
    if request.out is not None:
        workspace.write_plan(plan, request.out)
    cached = sum(step.state == "cached" for step in plan.steps)
    return PlanAnswer(
        plan=plan,
        cached=cached,
        to_do=len(plan.steps) - cached,
        seconds=plan.seconds,
        guessed=plan.guessed,
        written=request.out,
    )


PLAN = Call(
    name="plan",
    summary="Show what a recipe would do: what is cached, what is to do, and what it will take.",
    request=PlanRequest,
    answer=PlanAnswer,
    run=_plan,
    example="plan recipe.yaml --set steps.base.budget_tokens=2M --out plan.json",
)


class RunRequest(Request):
    """What `run` takes."""

    recipe: Path | None = Field(
        default=None,
        description=f"A recipe, or a plan that `loresmith plan --out` wrote (a file that ends in .json). "
        f"Default: {DEFAULT_RECIPE} in the current folder.",
        json_schema_extra={"positional": True},
    )
    settings: tuple[str, ...] = _SETTINGS
    resume: str | None = Field(
        default=None,
        description="Go on with a run that was interrupted or failed: its id, or the newest such run.",
        json_schema_extra={"bare": NEWEST, "metavar": "RUN"},
    )


def _run(workspace: Workspace, request: RunRequest, emit: Emit) -> RunDetail:
    if request.resume is not None:
        if request.recipe is not None or request.settings:
            raise UserError(
                "--resume goes on with the plan of that run, and takes neither a recipe nor --set",
                hint=f"to run {request.recipe or DEFAULT_RECIPE} again, leave --resume out: finished steps are cached",
            )
        return detail(workspace.resume(None if request.resume == NEWEST else request.resume, emit))
    recipe = request.recipe or DEFAULT_RECIPE
    if recipe.suffix == ".json":
        if request.settings:
            raise UserError("a plan is carried out as it was approved: --set changes recipes only", where=str(recipe))
        return detail(workspace.run(workspace.read_plan(recipe), emit))
    return detail(workspace.run(workspace.plan(recipe, request.settings), emit))


RUN = Call(
    name="run",
    summary="Carry out a recipe or a plan; finished steps are never done again.",
    request=RunRequest,
    answer=RunDetail,
    run=_run,
    example="run recipe.yaml",
)
