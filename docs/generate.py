"""Writes docs/reference from the code: `python -m docs.generate`, or `--check` to see whether it is up to date.

The commands come from the Calls, the steps from their configs, the recipe's keys from its models: what stands there
is what `--help`, `loresmith steps` and the error messages say.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import get_args

import click
from pydantic import BaseModel

from loresmith.cli.command import bare_command, parameters
from loresmith.factory.recipe import RecipeFile
from loresmith.factory.registry import find_step, step_names
from loresmith.sdk.call import AnyCall
from loresmith.sdk.calls import all_calls
from loresmith.sdk.calls.steps import RoleDoc, StepDoc, document
from loresmith.sdk.describe import FieldDoc, describe
from loresmith.sdk.place import CONFIG_NAME, WorkspaceConfig
from loresmith.serving.guards.settings import GuardSettings
from loresmith.serving.settings import ServingConfig

REFERENCE = Path(__file__).parent / "reference"
NOTICE = "<!-- Written by `python -m docs.generate` from the code. Change it there. -->"


def cli_page() -> Iterator[str]:
    yield "# Commands"
    yield NOTICE
    yield (
        "What all commands have in common, such as exit statuses and the form of errors, stands in [cli.md](../cli.md)."
    )
    calls = list(all_calls())
    yield "\n".join(
        f"- [`loresmith {call.name}`](#{_anchor(f'loresmith {call.name}')}): {call.summary}" for call in calls
    )
    for call in calls:
        yield from _command(call)


def _command(call: AnyCall) -> Iterator[str]:
    command = bare_command(call, int)
    context = click.Context(command, info_name=f"loresmith {call.name}")
    usage = command.get_usage(context).removeprefix("Usage: ")
    yield f"## loresmith {call.name}"
    yield call.summary
    example = f"\n\n# for example\nloresmith {call.example}" if call.example else ""
    yield f"```sh\n{usage}{example}\n```"
    records = [parameter.get_help_record(context) for parameter in parameters(call.request)]
    rows = [(f"`{record[0]}`", record[1]) for record in records if record is not None]
    if rows:
        yield _table(("takes", "meaning"), rows)
    fields = describe(call.answer)
    yield f"`--json` prints an object with {', '.join(f'`{field.name}`' for field in fields)}:"
    yield _table(
        ("key", "type", "meaning"),
        (
            (f"`{key}`", field.type + (", or null" if field.nullable else ""), field.description)
            for key, field in _flat(fields)
        ),
    )


def steps_page() -> Iterator[str]:
    yield "# Steps"
    yield NOTICE
    yield (
        "A step makes assets out of assets. `loresmith steps NAME` shows the same as here, and the steps of installed "
        "plug-ins beside it. A recipe wires them: see [recipe.md](recipe.md)."
    )
    steps = [document(step) for step in map(find_step, _own_steps())]
    yield "\n".join(f"- [`{step.name}`](#{_anchor(step.name)}): {step.summary}" for step in steps)
    for step in steps:
        yield from _step(step)


def _own_steps() -> list[str]:
    """The steps that come with Loresmith; plug-ins document their own."""
    return [name for name in step_names() if find_step(name).run.__module__.startswith("loresmith.")]


def _step(step: StepDoc) -> Iterator[str]:
    yield f"## {step.name}"
    yield f"{step.summary} Version {step.version}."
    for title, roles in (("Inputs", step.inputs), ("Outputs", step.outputs)):
        if roles:
            yield _table((title, "kind", "meaning"), map(_role, roles))
    if step.settings:
        yield _settings(step.settings, "Settings")


def _role(role: RoleDoc) -> tuple[str, str, str]:
    return (
        f"`{role.role}`",
        role.kind + (", several" if role.many else "") + (", optional" if role.optional else ""),
        role.summary,
    )


def recipe_page() -> Iterator[str]:
    yield "# Recipes"
    yield NOTICE
    yield (
        "A recipe is a YAML file (the core schema of YAML 1.2: `1e-3` is a number, `no` is text). Keys that are not "
        "listed here or in [steps.md](steps.md) are errors, and so are keys that stand twice. Relative paths start at "
        "the recipe's folder."
    )
    yield _keys(RecipeFile, "Key")
    yield (
        "Under `steps`, each name has the key `step:`, which says what kind of step it is, the settings of that kind, "
        "and a key for each of its inputs: the name of another step of the recipe (`corpus`), one of its outputs "
        "(`corpus.corpus`), or a reference to an asset of the ledger. References are a digest or its first 8 digits or "
        "more, `release`, `release@channel`, `recipe/step` and `recipe/step.output`; a plan pins what they stand for."
    )
    yield (
        "An input that takes several has a list of them (`[a, b]`), or each under a name of its own (`{manuals: a, "
        "tickets: b}`). Where it takes every asset of a kind by default, these are those that the recipe makes and "
        "those that the workspace has when the plan is made: with one more, it is another plan. A plan also holds the "
        "checks that are made of corpora and suites without being asked for; see "
        "[contamination.md](../contamination.md)."
    )
    yield "## On the command line"
    yield (
        "`--set path.to.key=value` of `loresmith plan` and `loresmith run` changes a key before anything is checked; "
        "the value is YAML: `--set steps.base.budget_tokens=2M --set seed=7`."
    )
    yield f"## The workspace's {CONFIG_NAME}"
    yield _keys(WorkspaceConfig, "Key")


def serving_page() -> Iterator[str]:
    yield "# Serving configurations"
    yield NOTICE
    yield (
        "What `loresmith serve CONFIG.yaml` reads: a YAML file with these keys. A key that is not listed here is an "
        "error that names the nearest. Relative paths start at the file's folder. See [serving.md](../serving.md)."
    )
    yield _keys(ServingConfig, "Key")
    yield "## Guards"
    yield (
        "`guards` is a list; each guard has a `kind` and the keys of that kind. See [guards.md](../guards.md) for what "
        "each finds, and what gets through."
    )
    for kind, settings in _guards():
        yield f"### {kind}"
        yield inspect.cleandoc(settings.__doc__ or "")
        yield _keys(settings, "Key")


def _guards() -> list[tuple[str, type[BaseModel]]]:
    """The kinds of guards, with their settings."""
    union = get_args(GuardSettings)[0]
    return [(get_args(settings.model_fields["kind"].annotation)[0], settings) for settings in get_args(union)]


def _keys(model: type[BaseModel], title: str) -> str:
    return _settings(describe(model), title)


def _settings(fields: Sequence[FieldDoc], title: str) -> str:
    rows = (
        (f"`{key}`", field.type, "required" if field.required else _code(field.default_in_words), field.description)
        for key, field in _flat(fields)
    )
    return _table((title, "type", "default", "meaning"), rows)


def _flat(fields: Iterable[FieldDoc], above: str = "") -> Iterator[tuple[str, FieldDoc]]:
    """Each field under its dotted name, those inside it after it."""
    for field in fields:
        yield f"{above}{field.name}", field
        inside = "[]." if field.type.startswith("list") else ".*." if field.type.startswith("mapping of") else "."
        yield from _flat(field.fields, f"{above}{field.name}{inside}")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _anchor(title: str) -> str:
    return title.replace(" ", "-")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "cli.md": cli_page,
    "steps.md": steps_page,
    "recipe.md": recipe_page,
    "serving.md": serving_page,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description="Write docs/reference from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if a page is not up to date")
    check = parser.parse_args(arguments).check
    stale = []
    for name, page in PAGES.items():
        path = REFERENCE / name
        text = "\n\n".join(page()) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"docs/reference/{name} {'is not up to date: run `make docs`' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
