"""A recipe: the YAML file that a person writes, checked to the last key, wired by name."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from loresmith.errors import UserError
from loresmith.factory.compute import Compute
from loresmith.factory.registry import find_step
from loresmith.factory.step import Step, StepConfig
from loresmith.ledger.releases import Channel, check_name
from loresmith.nearest import unknown_name, with_article
from loresmith.validation import validate
from loresmith.yaml_lines import Mapped, YamlPath, load_yaml, read_yaml

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
_SQLITE_FILE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|file:|:memory:|\$\{).")
"""The beginning of a URL whose path may be relative; what a variable of the environment holds is not known yet."""
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=64)]


class ReleaseTarget(BaseModel):
    """What a finished run registers under a name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name = Field(description="The release, such as `acme-assistant`.")
    asset: str = Field(description="The step whose output is released: `step`, or `step.output` where it has several.")
    channel: Channel = Field(default="candidate", description="The channel that points at it when the run is done.")


class RecipeFile(BaseModel):
    """The keys of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name = Field(description="What the recipe makes; its assets are found as `name/step`.")
    seed: int = Field(default=0, ge=0, lt=2**53, description="All randomness of all steps is derived from it.")
    compute: Compute = Field(default=Compute(), description="Where and with how much it runs.")
    steps: dict[Name, dict[str, Any]] = Field(
        min_length=1,
        description="The steps by name. Each has `step:` (which kind), its settings, and for each input role the name "
        "of another step (or `step.output`), or a reference to an asset of the ledger.",
    )
    release: ReleaseTarget | None = Field(default=None, description="What to register when the run has finished.")


@dataclass(frozen=True)
class RecipeStep:
    """One step of a recipe, its config complete to the last default.

    `every` are the roles that also take what the workspace has when the plan is made (`Input.every`).
    """

    name: str
    step: Step
    config: StepConfig
    inputs: Mapping[str, str]
    every: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Recipe:
    """A recipe that is well-formed and wired without cycles; `steps` stand in an order in which they can run."""

    name: str
    seed: int
    compute: Compute
    steps: Mapping[str, RecipeStep]
    release: ReleaseTarget | None
    written: Mapped

    def where(self, *path: str) -> str:
        """File and line of a key."""
        return self.written.where(path)


def read_recipe(path: Path, settings: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe file.

    Args:
        path: the YAML file; relative locations in it are relative to its folder.
        settings: changes such as `steps.base.budget_tokens=2M`, made before anything is checked.

    Raises:
        UserError: naming file, line, key and the nearest known key.
    """
    if path.is_dir():
        raise UserError("is a folder, not a recipe", where=str(path))
    return parse_recipe(read_yaml(path), path.parent.absolute(), settings)


def parse_recipe(written: Mapped, folder: Path, settings: Sequence[str] = ()) -> Recipe:
    """Check what was read; arguments as for `read_recipe`, with the folder that relative locations start from."""
    if not isinstance(written.data, dict):
        raise UserError("a recipe is a mapping with the keys `name` and `steps`", where=written.source)
    data = _changed(written.data, settings)
    file = validate(RecipeFile, data, written.lines, written.source)
    steps = {name: _recipe_step(name, keys, written, folder) for name, keys in file.steps.items()}
    steps = {name: _with_own(step, steps) for name, step in steps.items()}
    for step in steps.values():
        _check_inputs(step, written)
    recipe = Recipe(file.name, file.seed, file.compute, _ordered(steps, written), file.release, written)
    if file.release is not None:
        try:
            check_name(file.release.name)
        except UserError as error:
            raise UserError(error.what, where=recipe.where("release", "name"), hint=error.hint) from None
        produced_by(recipe, file.release.asset, ("release", "asset"))
    return recipe


def _changed(data: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """The data with `--set` applied; the original is left alone."""
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not all(path.split(".")):
            raise UserError(f"{setting!r} is not of the form path.to.key=value", where="--set")
        value = load_yaml(text, f"--set {path}").data
        data = _with(data, path.split("."), value, path)
    return data


def _with(data: dict[str, Any], path: Sequence[str], value: Any, whole: str) -> dict[str, Any]:
    head, *rest = path
    if not rest:
        return {**data, head: value}
    below = data.get(head, {} if head in ("compute", "release") else None)
    if not isinstance(below, dict):
        raise UserError(unknown_name("key", head, data.keys()), where=f"--set {whole}")
    return {**data, head: _with(below, rest, value, whole)}


def _recipe_step(name: str, keys: dict[str, Any], written: Mapped, folder: Path) -> RecipeStep:
    path: YamlPath = ("steps", name)
    kind = keys.get("step")
    if not isinstance(kind, str):
        raise UserError("the key 'step' is missing: it says which kind of step this is", where=written.where(path))
    try:
        step = find_step(kind)
    except UserError as error:
        raise UserError(error.what, where=written.where((*path, "step")), hint=error.hint) from None
    known = {"step", *step.inputs, *step.config.model_fields}
    for key in keys:
        if key not in known:
            said = f"{key!r} in steps.{name}, {with_article(kind)} step;"
            raise UserError(
                unknown_name("key", key, known).replace(f"{key!r};", said, 1),
                where=written.where((*path, key)),
                hint=f"`loresmith steps {kind}` lists the keys of this step",
            )
    inputs: dict[str, str] = {}
    for role, declared in step.inputs.items():
        reference = keys.get(role)
        if reference is not None:
            inputs |= _references(name, role, declared.many, reference, written.where((*path, role)))
        elif not (declared.optional or declared.every):
            raise UserError(
                f"steps.{name}: the input {role!r} is missing: {with_article(declared.kind)} ({declared.summary})",
                where=written.where(path),
            )
    settings = {key: value for key, value in keys.items() if key != "step" and key not in step.inputs}
    located = _located(settings, step.config, folder, written.where(path))
    config = validate(step.config, located, written.lines, written.source, path)
    every = frozenset(role for role, declared in step.inputs.items() if declared.every and keys.get(role) is None)
    return RecipeStep(name, step, config, inputs, every)


def _with_own(step: RecipeStep, steps: Mapping[str, RecipeStep]) -> RecipeStep:
    """The step with what the recipe itself makes for those of its roles that take every asset of a kind."""
    inputs = dict(step.inputs)
    for role in sorted(step.every):
        own = [
            f"{other.name}.{output}"
            for other in steps.values()
            for output, made in other.step.outputs_of(other.config).items()
            if made.kind == step.step.inputs[role].kind and other is not step
        ]
        inputs |= {f"{role}.{number}": reference for number, reference in enumerate(own, start=1)}
    return replace(step, inputs=inputs)


def _check_inputs(step: RecipeStep, written: Mapped) -> None:
    """Have the step look whether its settings go with what is wired to it."""
    if step.step.check is None:
        return
    try:
        step.step.check(step.config, step.inputs)
    except UserError as error:
        key = f"steps.{step.name}.{error.where}" if error.where else f"steps.{step.name}"
        where = written.where(("steps", step.name))
        raise UserError(f"{key}: {error.what}", where=where, hint=error.hint) from None


def _references(name: str, role: str, many: bool, written: Any, where: str) -> dict[str, str]:
    """What a recipe wires to an input: a reference by role, or several for one that takes many."""
    if isinstance(written, str):
        return {f"{role}.1" if many else role: written}
    parts: Mapping[Any, Any] = {}
    if many and isinstance(written, list):
        parts = {str(number): reference for number, reference in enumerate(written, start=1)}
    elif many and isinstance(written, dict):
        parts = written
    if not parts or not all(isinstance(reference, str) for reference in parts.values()):
        wanted = (
            "the names of steps or assets, as a list or each under a name" if many else "the name of a step or asset"
        )
        raise UserError(f"steps.{name}.{role} should be {wanted}, got {written!r}", where=where)
    for part in parts:
        if not re.fullmatch(NAME_PATTERN, str(part)):
            raise UserError(f"steps.{name}.{role}: {part!r} is no name: letters, digits, - and _", where=where)
    return {f"{role}.{part}": reference for part, reference in parts.items()}


def locations(config: type[StepConfig]) -> set[str]:
    """The fields of a config that say where something lies."""
    return {
        name
        for name, field in config.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("location")
    }


def _located(settings: dict[str, Any], config: type[StepConfig], folder: Path, where: str) -> dict[str, Any]:
    """The settings with relative locations made absolute, and `~` resolved. Of URLs only a file of SQLite has one."""

    def absolute(value: Any) -> Any:
        if isinstance(value, str) and (file := _SQLITE_FILE.match(value)):
            return f"{file[1]}{absolute(value.removeprefix(file[1]))}"
        if isinstance(value, str) and "://" not in value:
            try:
                return str((folder / Path(value).expanduser()).absolute())
            except RuntimeError as error:  # `~somebody`, and there is no such account
                raise UserError(f"{value}: {error}", where=where) from None
        if isinstance(value, list):
            return [absolute(item) for item in value]
        return value

    places = locations(config)
    return {key: absolute(value) if key in places else value for key, value in settings.items()}


def _ordered(steps: Mapping[str, RecipeStep], written: Mapped) -> dict[str, RecipeStep]:
    """The steps in an order in which each comes after those it needs; otherwise as written."""
    needs = {
        name: [source for reference in step.inputs.values() if (source := reference.partition(".")[0]) in steps]
        for name, step in steps.items()
    }
    try:
        order = list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        cycle = list(reversed(error.args[1]))
        raise UserError(
            f"the steps need one another in a circle: {' -> '.join(cycle)}", where=written.where(("steps", cycle[0]))
        ) from None
    return {name: steps[name] for name in order}


def produced_by(recipe: Recipe, reference: str, path: YamlPath, kind: str | None = None) -> tuple[str, str] | None:
    """Step and output role that a reference names, or None if it names no step of this recipe.

    Args:
        reference: `step` or `step.output`.
        path: where the reference is written, for messages.
        kind: the kind of asset that is wanted; with it `step` alone finds the output of that kind, without it the
            step's first.

    Raises:
        UserError: the step has no such output, none of the kind, or several.
    """
    where = recipe.written.where(path)
    name, dot, role = reference.partition(".")
    if name not in recipe.steps:
        if path[0] == "release":
            raise UserError(unknown_name("step", name, recipe.steps), where=where)
        return None
    outputs = recipe.steps[name].step.outputs_of(recipe.steps[name].config)
    if dot:
        if role not in outputs:
            raise UserError(f"steps.{name}: {unknown_name('output', role, outputs)}", where=where)
        fitting = [role]
    elif kind is None:
        fitting = [next(iter(outputs))]
    else:
        fitting = [role for role, output in outputs.items() if output.kind == kind]
    listed = ", ".join(f"{name}.{role} ({output.kind})" for role, output in outputs.items())
    if kind is not None and (not fitting or outputs[fitting[0]].kind != kind):
        raise UserError(f"{with_article(kind)} is needed here, and {reference!r} gives {listed}", where=where)
    if len(fitting) > 1:
        raise UserError(f"{reference!r} has several outputs; say which: {listed}", where=where)
    return name, fitting[0]
