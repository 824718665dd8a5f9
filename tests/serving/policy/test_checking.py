"""A mistake in a policy file is said with its file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from loresmith.errors import UserError
from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.settings import GroupSettings
from loresmith.serving.policy.check import check
from loresmith.serving.policy.policy import Policy
from loresmith.serving.policy.settings import PolicySettings
from loresmith.serving.policy.statements import read_statements

GROUPS = Groups({"physicians": GroupSettings(labels=("clinical",))})

GOOD = '@id("good;one") // a comment; with a semicolon\npermit (principal, action, resource);\n'


def problems(tmp_path: Path, text: str) -> list[tuple[str, str]]:
    (tmp_path / "own.cedar").write_text(text, encoding="utf-8")
    checked = check(PolicySettings(files=(Path("own.cedar"),)), GROUPS, tmp_path)
    return [(problem.where.removeprefix(f"{tmp_path}/"), problem.what) for problem in checked.problems]


def test_a_sound_file_has_none(tmp_path: Path) -> None:
    assert problems(tmp_path, f"// first\n\n{GOOD}") == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('permit (principal, action, resource) when { principal.lables.contains("x") };', "`lables`"),
        ('permit (principal, action == Action::"compleet", resource);', 'unrecognized action `Action::"compleet"`'),
        ('permit (principal in Grup::"physicians", action, resource);', "unrecognized entity type `Grup`"),
        ('permit (principal in Group::"physicans", action, resource);', "did you mean 'physicians'?"),
        ('permit (principal, action, resource) unless { principal in Group::"nurses" };', "unknown group 'nurses'"),
        ("permit (principal action, resource);", "unexpected token `action`"),
        ("permit (principal, action, resource)", "unexpected end of input"),
        ("permit (principal, action, resource) when { context.tokens > 3 };", "optional attribute `tokens`"),
        ("permit (principal in ?principal, action, resource);", "template"),
        ('@id("good;one") permit (principal, action, resource);', "stands twice (first at {tmp_path}/own.cedar:1)"),
        ('@id("labels") permit (principal, action, resource);', "stands twice (first at labels.cedar:3)"),
    ],
)
def test_a_mistake_has_its_line(tmp_path: Path, line: str, said: str) -> None:
    found = problems(tmp_path, f"{GOOD}\n// why\n{line}\n")
    assert found
    assert all(where == "own.cedar:5" for where, _ in found)
    assert any(said.format(tmp_path=tmp_path) in what for _, what in found), found


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.cedar").write_text('permit (principal, action == Action::"x", resource);\n')
    (tmp_path / "b.cedar").write_text("\nforbid (principal);\n")
    settings = PolicySettings(files=(Path("a.cedar"), Path("missing.cedar"), Path("b.cedar")))
    with pytest.raises(UserError) as refused:
        Policy.load(settings, GROUPS, tmp_path)
    said = str(refused.value).replace(f"{tmp_path}/", "")
    assert said.startswith("a.cedar:1: ")
    assert "missing.cedar: cannot be read: No such file" in said
    assert "b.cedar:2: not a policy" in said


def test_statements_are_told_apart() -> None:
    text = (
        '@id("a;\\";b") permit (principal, action, resource) when { "// no; comment" like "*;*" };// c;\n'
        "forbid(principal,action,resource);"
    )
    found = list(read_statements(text, "x"))
    assert [(statement.id, statement.effect) for statement in found] == [('a;";b', "permit"), ("x:2", "forbid")]
