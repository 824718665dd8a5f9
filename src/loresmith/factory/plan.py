"""A plan: a recipe resolved to the last default, to digests, and to what is already there.

It is what a person or an agent approves. Its digest covers everything that decides the result, and nothing that
does not: neither forecasts, nor what happens to be cached, nor where the sources lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import UserError
from loresmith.factory.compute import Compute
from loresmith.factory.environment import deciding_environment
from loresmith.factory.forecast import forecast
from loresmith.factory.planned import PlannedInput, PlannedStep, registered_assets
from loresmith.factory.recipe import Recipe, RecipeStep, ReleaseTarget, locations, produced_by
from loresmith.factory.registry import find_step
from loresmith.factory.standing import StandingCheck, checks_of
from loresmith.factory.step import Step
from loresmith.ledger import Ledger, Run
from loresmith.ledger.digest import digest_of
from loresmith.ledger.faults import row_faults
from loresmith.nearest import unknown_name
from loresmith.validation import validate
from loresmith.yaml_lines import load_yaml


class Plan(BaseModel):
    """A recipe resolved, its steps in the order in which they run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    digest: str = Field(description="Covers all that decides the result.")
    recipe: str = Field(description="The recipe's name.")
    seed: int = Field(description="The recipe's seed.")
    compute: Compute = Field(description="Where and with how much it runs; not part of the digest.")
    steps: tuple[PlannedStep, ...] = Field(description="The steps in running order.")
    release: ReleaseTarget | None = Field(description="What is registered at the end.")

    @property
    def seconds(self) -> float:
        """Forecast of the whole, in seconds."""
        return sum(step.forecast.seconds for step in self.steps if step.forecast is not None)

    @property
    def guessed(self) -> bool:
        """Whether any part of the forecast is a guess."""
        return any(step.forecast is not None and step.forecast.basis == "guess" for step in self.steps)

    def require_intact(self) -> None:
        """Raise UserError if the plan does not have the digest that it says it has."""
        if _plan_digest(self.recipe, self.seed, self.steps, self.release) != self.digest:
            raise UserError("the plan was changed after it was made: its digest does not fit its content")


def _plan_digest(recipe: str, seed: int, steps: tuple[PlannedStep, ...], release: ReleaseTarget | None) -> str:
    return digest_of(
        {
            "recipe": recipe,
            "seed": seed,
            "steps": [step.identity() for step in steps],
            "release": release.model_dump(mode="json") if release is not None else None,
        }
    )


def make_plan(recipe: Recipe, ledger: Ledger, caches: Path | None = None) -> Plan:
    """Resolve a recipe against a ledger.

    Args:
        caches: the workspace's folder of caches, in which steps find what they know of their sources.

    Raises:
        UserError: an input is not there, is of the wrong kind, or a source folder is missing.
    """
    planned: dict[str, PlannedStep] = {}
    for step in recipe.steps.values():
        planned[step.name] = _planned_step(recipe, step, planned, ledger, caches)
    steps = tuple(
        each
        for step in recipe.steps.values()
        for each in (
            planned[step.name],
            *(_planned_check(recipe, check, planned, ledger) for check in checks_of(step, planned, ledger)),
        )
    )
    return Plan(
        digest=_plan_digest(recipe.name, recipe.seed, steps, recipe.release),
        recipe=recipe.name,
        seed=recipe.seed,
        compute=recipe.compute,
        steps=steps,
        release=recipe.release,
    )


def _planned_step(
    recipe: Recipe, step: RecipeStep, planned: Mapping[str, PlannedStep], ledger: Ledger, caches: Path | None
) -> PlannedStep:
    settings = step.config.model_dump(mode="json")
    places = locations(type(step.config))
    draft = PlannedStep(
        name=step.name,
        step=step.step.name,
        version=step.step.version,
        config={key: value for key, value in settings.items() if key not in places},
        locations={key: value for key, value in settings.items() if key in places},
        fingerprint=_fingerprint(
            step.step, step.config, recipe.where("steps", step.name), caches, ledger.erasures.known()
        ),
        erased=ledger.erasures.digest() if step.step.leaves_out_erased else None,
        environment=deciding_environment(step.step),
        inputs=_inputs(recipe, step, planned, ledger),
        key=None,
        state="to do",
        outputs={},
        forecast=None,
    )
    return _looked_up(draft, recipe.seed, planned, step.step, step.config, ledger)


def _planned_check(
    recipe: Recipe, check: StandingCheck, planned: Mapping[str, PlannedStep], ledger: Ledger
) -> PlannedStep:
    draft = PlannedStep(
        name=check.name,
        step=check.step.name,
        version=check.step.version,
        config=check.config.model_dump(mode="json"),
        locations={},
        fingerprint=None,
        environment=deciding_environment(check.step),
        inputs=dict(check.inputs),
        key=None,
        state="to do",
        outputs={},
        forecast=None,
    )
    return _looked_up(draft, recipe.seed, planned, check.step, check.config, ledger)


def _inputs(
    recipe: Recipe, step: RecipeStep, planned: Mapping[str, PlannedStep], ledger: Ledger
) -> dict[str, PlannedInput]:
    inputs = {role: _input(recipe, step, role, ledger) for role in step.inputs}
    for role in sorted(step.every):
        own = [source for key, source in inputs.items() if key.partition(".")[0] == role]
        registered = registered_assets(ledger, step.step.inputs[role].kind, own, planned)
        inputs |= {f"{role}.{number}": source for number, source in enumerate(registered, start=len(own) + 1)}
    return inputs


def _input(recipe: Recipe, step: RecipeStep, role: str, ledger: Ledger) -> PlannedInput:
    reference = step.inputs[role]
    kind = step.step.input_of(role).kind
    made = produced_by(recipe, reference, ("steps", step.name, role), kind)
    if made is not None:
        return PlannedInput(step=made[0], output=made[1])
    try:
        asset = ledger.assets.find(reference, kind=kind)
    except UserError as error:
        in_recipe = unknown_name("step", reference, set(recipe.steps) - {step.name})
        raise UserError(
            f"steps.{step.name}.{role}: {error.what}; nor is it a step of this recipe ({in_recipe})",
            where=recipe.where("steps", step.name, role),
            hint=error.hint,
        ) from None
    return PlannedInput(reference=reference, asset=asset.digest)


def _fingerprint(step: Step, config: Any, where: str, caches: Path | None, erased: frozenset[str]) -> str | None:
    try:
        return step.fingerprint_of(config, caches, erased)
    except UserError as error:
        raise UserError(str(error), where=where, hint=None) from None


def _looked_up(
    draft: PlannedStep, seed: int, planned: Mapping[str, PlannedStep], step: Step, config: Any, ledger: Ledger
) -> PlannedStep:
    """The draft with its key, and its outputs if the ledger has them, or a forecast if it has not."""
    inputs = {}
    for role, source in draft.inputs.items():
        digest = source.asset if source.step is None else planned[source.step].outputs.get(source.output or "")
        if digest is not None:
            inputs[role] = digest
    known = len(inputs) == len(draft.inputs)
    key = draft.action_key(seed, inputs) if known else None
    action = ledger.actions.find(key) if key is not None else None
    if action is not None:
        return draft.model_copy(update={"key": key, "state": "cached", "outputs": dict(action.outputs)})
    expected = forecast(step, config, inputs if known else None, ledger)
    return draft.model_copy(update={"key": key, "forecast": expected})


def read_plan(path: Path) -> Plan:
    """Read a plan file, as `loresmith plan --out` wrote it.

    Raises:
        UserError: it is not a plan, or was changed after it was made.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path)) from None
    written = load_yaml(text, str(path))  # JSON is YAML, and this way a mistake has a line
    plan = validate(Plan, written.data, written.lines, written.source)
    plan.require_intact()
    return plan


def stored_plan(run: Run) -> Plan:
    """The plan that a run carries out, as the ledger has it. Raises Failure if that is no plan."""
    with row_faults(f"run {run.id}"):
        return Plan.model_validate(run.plan)


def require_unchanged(plan: Plan, ledger: Ledger, caches: Path | None = None) -> None:
    """Raise UserError if what a plan was made from is not what is there now.

    Its sources must have the fingerprints, its steps the versions and software, and its assets the presence that
    they had when the plan was made.
    """
    require_same_erasures(plan, ledger)
    erased = ledger.erasures.known()
    for planned in plan.steps:
        step = find_step(planned.step)
        where = f"plan, step {planned.name!r}"
        again = "make a new plan with `loresmith plan`"
        if step.version != planned.version:
            raise UserError(
                f"the plan was made for version {planned.version} of {planned.step!r}, and this is {step.version}",
                where=where,
                hint=again,
            )
        require_same_sources(planned, where, caches, erased)
        if deciding_environment(step) != planned.environment:
            raise UserError("the software changed since the plan was made", where=where, hint=again)
        for source in planned.inputs.values():
            if source.asset is not None:
                ledger.assets.get(source.asset)


def require_same_erasures(plan: Plan, ledger: Ledger) -> None:
    """Raise UserError if something was erased from the workspace since a plan was made that reads documents."""
    erased = ledger.erasures.digest()
    for planned in plan.steps:
        if find_step(planned.step).leaves_out_erased and planned.erased != erased:
            raise UserError(
                "documents were erased since the plan was made",
                where=f"plan, step {planned.name!r}",
                hint="make a new plan with `loresmith plan`, or run the recipe again: it leaves them out",
            )


def require_same_sources(
    planned: PlannedStep, where: str, caches: Path | None = None, erased: frozenset[str] = frozenset()
) -> None:
    """Raise UserError if what a step reads from outside the ledger is not what its plan, and so its key, speaks of."""
    step = find_step(planned.step)
    config = validate(step.config, planned.resolved_config(), {}, where)
    if _fingerprint(step, config, where, caches, erased) != planned.fingerprint:
        raise UserError(
            f"its sources changed since the plan was made: {planned.locations}",
            where=where,
            hint="make a new plan with `loresmith plan`, or run the recipe again",
        )
