"""Standing checks: steps that a plan holds though no recipe asks for them.

A standing check compares assets of one kind with assets of another, such as corpora with evaluation suites. Whenever a
recipe makes one of either kind, its plan also holds a step that checks it against all of the other kind that the
workspace has, or that the recipe has made before. One that is added by hand is checked by a recipe of its own. What is
found stands in a report and in receipts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from loresmith.factory.planned import PlannedInput, PlannedStep, registered_assets
from loresmith.factory.recipe import Recipe, RecipeStep, parse_recipe
from loresmith.factory.registry import find_step, standing_checks
from loresmith.factory.step import Output, Step, StepConfig
from loresmith.ledger import Asset, Ledger
from loresmith.yaml_lines import Mapped


@dataclass(frozen=True)
class StandingCheck:
    """A check of what a step makes.

    Attributes:
        name: of the step in the plan.
        step: the check.
        config: its defaults.
        inputs: what it takes.
    """

    name: str
    step: Step
    config: StepConfig
    inputs: Mapping[str, PlannedInput]


def checks_of(made: RecipeStep, planned: Mapping[str, PlannedStep], ledger: Ledger) -> Iterator[StandingCheck]:
    """The checks of what a step makes. With what a later step makes, it is checked there.

    Args:
        planned: the steps that the recipe asks for, in running order.
    """
    outputs = made.step.outputs_of(made.config)
    if not outputs or made.step.name in standing_checks():
        return
    for check in map(find_step, standing_checks()):
        for role, taken in check.inputs.items():
            new = [PlannedInput(step=made.name, output=name) for name, out in outputs.items() if out.kind == taken.kind]
            if not new:
                continue
            inputs = _numbered(role, new)
            for other, declared in check.inputs.items():
                if other != role:
                    inputs |= _numbered(other, _all_of(declared.kind, made.name, planned, ledger))
            if {key.partition(".")[0] for key in inputs} == set(check.inputs):
                name = f"{made.name}-{check.name}"
                while name in planned:
                    name += "-again"
                yield StandingCheck(name, check, check.config(), inputs)


def checks_of_added(asset: Asset, ledger: Ledger) -> Iterator[Recipe]:
    """Recipes with the checks of an asset that no recipe made, for which there is something to check it against."""
    for name in standing_checks():
        inputs = find_step(name).inputs
        for role, taken in inputs.items():
            others = [other.kind for other_role, other in inputs.items() if other_role != role]
            if taken.kind == asset.kind and all(ledger.assets.list(kind, limit=1) for kind in others):
                step = {"step": name, role: [asset.digest]}
                yield parse_recipe(Mapped({"name": name, "steps": {name: step}}, {}, name), Path())


def _numbered(role: str, sources: list[PlannedInput]) -> dict[str, PlannedInput]:
    return {f"{role}.{number}": source for number, source in enumerate(sources, start=1)}


def _all_of(kind: str, step: str, planned: Mapping[str, PlannedStep], ledger: Ledger) -> list[PlannedInput]:
    """What the plan's steps up to this one make of a kind, and what else there is of it."""
    own = [
        PlannedInput(step=name, output=role)
        for name, planned_step in planned.items()
        for role, output in _outputs_of(planned_step).items()
        if output.kind == kind
    ]
    done = list(planned)[: list(planned).index(step) + 1]
    return [*(source for source in own if source.step in done), *registered_assets(ledger, kind, own, planned)]


def _outputs_of(planned: PlannedStep) -> dict[str, Output]:
    step = find_step(planned.step)
    return step.outputs_of(step.config.model_validate(planned.resolved_config()))
