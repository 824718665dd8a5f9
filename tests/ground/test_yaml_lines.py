"""The data is what a plain reader sees, every key has its line, and no text at all ends in a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.errors import UserError
from loresmith.yaml_lines import load_yaml, read_yaml

RECIPE = """\
name: demo
seed: 1
steps:
  base:
    step: pretrain
    learning_rate: 1e-3
    betas: [0.9, 0.95]
  eval:
    step: evaluate
    model: base
"""


def test_every_key_has_its_line() -> None:
    mapped = load_yaml(RECIPE, "recipe.yaml")
    assert mapped.data["steps"]["base"] == {"step": "pretrain", "learning_rate": 0.001, "betas": [0.9, 0.95]}
    assert mapped.lines["steps", "base", "learning_rate"] == 6
    assert mapped.lines["steps", "eval", "model"] == 10
    assert mapped.lines["steps", "base", "betas", 1] == 7
    assert mapped.where(("steps", "base", "never", "written")) == "recipe.yaml:4"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("010", 10),
        ("0x10", 16),
        ("no", "no"),
        ("2026-11-22", "2026-11-22"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("'1'", "1"),
        ("", None),
        ("True", True),
        (".5", 0.5),
        ("!!str 5", "5"),
        ("=", "="),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    found = load_yaml(f"key: {text}", "x").data["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb: 2\na: 3", 3, "first on line 1"),
        ("a:\n  - 1: x", 2, "must be text"),
        ("a: &x\n  b: *x", 2, "alias"),
        ("a: .nan", 1, "finite"),
        ("a: 1e999", 1, "finite"),
        ("a: 99999999999999999999", 1, "exactly"),
        ("a: " + "9" * 5000, 1, "exactly"),
        ('a: "\\ud800"', 1, "surrogate"),
        ("a: !!python/object/apply:os.system [echo]", 1, "tag"),
        ("a: !!int x", 1, "exactly"),
        ("a: 1\n<<: {b: 2}", 2, "merge"),
        ("a: [1, 2", 1, "not valid YAML"),
        ("a: 1\n---\nb: 2", 2, "not valid YAML"),
        ("ok: 1\n\x00", 2, "not valid YAML"),
        ("[" * 5000, 1, "levels deep"),
    ],
)
def test_what_plain_data_cannot_carry_is_refused_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(UserError) as caught:
        load_yaml(text, "file.yaml")
    assert caught.value.where == f"file.yaml:{line}"
    assert says in caught.value.what


def test_aliases_work_and_a_bomb_does_not_go_off() -> None:
    assert load_yaml("a: &x {k: 1}\nb: *x", "x").data == {"a": {"k": 1}, "b": {"k": 1}}
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    for level in range(1, 12):
        bomb += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n"
    with pytest.raises(UserError, match="aliases repeat"):
        load_yaml(bomb, "x")


def test_a_file_that_cannot_be_read_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_yaml(tmp_path / "missing.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(UserError, match="UTF-8"):
        read_yaml(tmp_path / "latin.yaml")


characters = st.text(st.characters(exclude_categories=["Cs", "Cc"]))
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | characters,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(characters.map(lambda text: text[:40]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(plain)
@settings(max_examples=150, deadline=None)
def test_json_reads_back_as_itself(data: object) -> None:
    assert load_yaml(json.dumps(data), "x").data == data


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(RECIPE)),
            st.integers(0, 6),
            st.text(st.sampled_from(list(":-[]{}&*!|>'\"#%@,?\n \t<a1~\\ux\x85\ufeff")), max_size=6),
        ),
        max_size=6,
    )
)
@settings(max_examples=300, deadline=None)
def test_mutated_yaml_is_read_or_refused_with_a_place(edits: list[tuple[int, int, str]]) -> None:
    text = RECIPE
    for position, removed, added in edits:
        text = text[:position] + added + text[position + removed :]
    try:
        mapped = load_yaml(text, "recipe.yaml")
    except UserError as error:
        place = error.where or ""
    else:
        place = mapped.where(())
        json.dumps(mapped.data, allow_nan=False)
        assert all(1 <= line <= text.count("\n") + 1 + text.count("\x85") for line in mapped.lines.values())
    assert place.startswith("recipe.yaml")
