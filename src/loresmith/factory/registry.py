"""Which steps there are: our own and those of installed plug-ins, found by the entry point `loresmith.steps`.

Those that are named under `loresmith.standing_checks` as well are carried out without being asked for; see `standing`.
"""

from __future__ import annotations

import functools
from importlib.metadata import EntryPoint, entry_points

from loresmith.errors import Failure, UserError
from loresmith.factory.step import Step
from loresmith.nearest import unknown_name

GROUP = "loresmith.steps"
STANDING = "loresmith.standing_checks"


@functools.cache
def _entries() -> dict[str, EntryPoint]:
    entries: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        other = entries.get(entry.name)
        if other is not None and other.value != entry.value:
            raise Failure(
                f"two installed packages offer a step named {entry.name!r}: {other.value} and {entry.value}",
                hint="uninstall one of them",
            )
        entries[entry.name] = entry
    return entries


def step_names() -> list[str]:
    """The names of all installed steps, sorted."""
    return sorted(_entries())


@functools.cache
def standing_checks() -> tuple[str, ...]:
    """The names of the steps that are standing checks, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=STANDING)}))


@functools.cache
def find_step(name: str) -> Step:
    """The step of that name.

    Raises:
        UserError: no installed package offers it.
        Failure: the package that offers it does not import, or offers something else.
    """
    entry = _entries().get(name)
    if entry is None:
        raise UserError(unknown_name("step", name, step_names()), hint="`loresmith steps` lists what is installed")
    try:
        step = entry.load()
    except (ImportError, AttributeError) as error:
        raise Failure(f"the step {name!r} does not load from {entry.value}: {error}") from error
    if not isinstance(step, Step) or step.name != name:
        raise Failure(f"the entry point {name!r} ({entry.value}) is not a Step of that name")
    return step
