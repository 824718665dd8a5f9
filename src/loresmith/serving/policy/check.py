"""Reads policy files and says everything that is wrong with them, each with its file and line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loresmith.errors import UserError
from loresmith.nearest import unknown_name
from loresmith.serving.identity.groups import Groups
from loresmith.serving.policy.settings import PolicySettings
from loresmith.serving.policy.statements import Statement, read_statements

if TYPE_CHECKING:
    import cedarpy

_ADMINISTRATORS = """\
@id("administrators:{name}")
permit (principal in Group::"{name}", action == Action::"administer", resource);
"""

_POLICY_NUMBER = re.compile(r"^for policy `[^`]*`, ")


@dataclass(frozen=True)
class Problem:
    """One mistake.

    Attributes:
        where: file and line.
        what: what is wrong, in a sentence.
    """

    where: str
    what: str


@dataclass(frozen=True)
class Checked:
    """What a configuration's policies say.

    Attributes:
        statements: the policies, our own first, then the operator's in the order of the files.
        problems: everything that is wrong with them.
    """

    statements: tuple[Statement, ...]
    problems: tuple[Problem, ...]


def own_text(name: str) -> str:
    """A file of this package: the schema, or one of the policies that come with it."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def schema() -> cedarpy.Schema:
    """What policies can speak of."""
    import cedarpy

    return cedarpy.Schema.from_str(own_text("schema.cedarschema"))


def check(settings: PolicySettings, groups: Groups, folder: Path) -> Checked:
    """Read and check all policies.

    Args:
        folder: what relative files start from.
    """
    statements = list(read_statements(own_text("labels.cedar"), "labels.cedar"))
    if settings.default:
        statements += read_statements(own_text("default.cedar"), "default.cedar")
    for name in settings.administrators:
        statements += read_statements(_ADMINISTRATORS.format(name=name), "policy.administrators")
    problems: list[Problem] = []
    for file in settings.files:
        read, broken = _read(folder / file, file.as_posix())
        statements += read
        problems += [problem for statement in read for problem in _problems(statement, groups)]
        problems += broken
    problems += _twice(statements)
    return Checked(tuple(statements), tuple(problems))


def _read(path: Path, name: str) -> tuple[list[Statement], list[Problem]]:
    """The statements of a file up to the first that is no policy: what follows cannot be told apart any more."""
    read: list[Statement] = []
    try:
        text = path.read_text(encoding="utf-8")
        for statement in read_statements(text, str(path), name):
            read.append(statement)
    except UserError as error:
        return read, [Problem(error.where or str(path), error.what)]
    except OSError as error:
        return read, [Problem(str(path), f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError as error:
        return read, [Problem(str(path), f"is not UTF-8 text (byte {error.start})")]
    return read, []


def _problems(statement: Statement, groups: Groups) -> Iterator[Problem]:
    import cedarpy

    found = cedarpy.validate_policies(statement.text, schema())
    said = dict.fromkeys(_POLICY_NUMBER.sub("", error.error) for error in found.errors)
    yield from (Problem(statement.where, what) for what in said)
    for name in named("Group", statement.tree):
        if name not in groups.declared:
            yield Problem(statement.where, unknown_name("group", name, groups.declared))


def named(entity: str, tree: Any) -> Iterator[str]:
    """The names of every `entity::"name"` in a policy's tree, wherever it stands."""
    if isinstance(tree, Mapping):
        if tree.get("type") == entity and isinstance(tree.get("id"), str):
            yield tree["id"]
        for below in tree.values():
            yield from named(entity, below)
    elif isinstance(tree, list):
        for below in tree:
            yield from named(entity, below)


def _twice(statements: Iterable[Statement]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for statement in statements:
        if statement.id in first:
            yield Problem(
                statement.where, f'@id("{statement.id}") stands twice (first at {first[statement.id]}): audits name it'
            )
        first.setdefault(statement.id, statement.where)


def refuse(problems: Sequence[Problem]) -> UserError:
    """The error that says all of them."""
    first, *others = problems
    return UserError("\n".join([first.what, *(f"{other.where}: {other.what}" for other in others)]), where=first.where)
