"""A recipe is either understood to the last key or refused in one message that says where and what to do."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.errors import UserError
from loresmith.factory.recipe import parse_recipe, read_recipe
from loresmith.yaml_lines import load_yaml

GOOD = """\
name: greeting
seed: 3
steps:
  both:
    step: join-text
    first: hello
    second: world
  hello: {step: write-text, text: hello}
  world:
    step: write-text
    text: world
    times: 2
release: {name: greeting, asset: both}
"""


def refused(text: str, folder: Path = Path(), settings: list[str] | None = None) -> str:
    with pytest.raises(UserError) as caught:
        parse_recipe(load_yaml(text, "recipe.yaml"), folder, settings or [])
    return str(caught.value)


def test_steps_stand_in_an_order_in_which_they_can_run() -> None:
    recipe = parse_recipe(load_yaml(GOOD, "recipe.yaml"), Path())
    assert list(recipe.steps) == ["hello", "world", "both"]
    assert recipe.steps["world"].config.model_dump() == {"text": "world", "times": 2, "labels": ()}
    assert recipe.steps["both"].inputs == {"first": "hello", "second": "world"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("times: 2", "tims: 2"), ["recipe.yaml:12", "'tims'", "steps.world", "did you mean 'times'?"]),
        (("times: 2", "times: many"), ["recipe.yaml:12", "steps.world.times", "integer", "'many'"]),
        (("times: 2", "times: 0"), ["recipe.yaml:12", "steps.world.times", "greater than or equal to 1"]),
        (("seed: 3", "sed: 3"), ["recipe.yaml:2", "unknown key 'sed'", "did you mean 'seed'?"]),
        (("seed: 3", "seed: -1"), ["recipe.yaml:2", "seed"]),
        (("step: join-text", "step: join-txt"), ["recipe.yaml:5", "did you mean 'join-text'?"]),
        (("step: join-text", "stp: join-text"), ["recipe.yaml:4", "the key 'step' is missing"]),
        (("    first: hello\n", ""), ["recipe.yaml:4", "steps.both", "'first' is missing"]),
        (("first: hello", "first: both"), ["both -> both", "circle"]),
        (("first: hello", "first: [hello]"), ["recipe.yaml:6", "steps.both.first"]),
        (("  world:\n", "  hello:\n"), ["recipe.yaml:9", "'hello'", "twice", "line 8"]),
        (("asset: both", "asset: bth"), ["recipe.yaml:13", "did you mean 'both'?"]),
        (("asset: both", "asset: both.txt"), ["recipe.yaml:13", "output 'txt'"]),
        (("name: greeting\nseed", "seed"), ["'name' is missing"]),
        (("name: greeting\nseed", "name: a/b\nseed"), ["recipe.yaml:1", "name"]),
        (("{name: greeting", "{name: Greeting"), ["recipe.yaml:13", "'Greeting'", "name of a release"]),
    ],
)
def test_a_mistake_is_named_with_its_line(change: tuple[str, str], words: list[str]) -> None:
    text = GOOD.replace(*change, 1)
    assert text != GOOD
    message = refused(text)
    for word in words:
        assert word in message


def test_a_mistake_in_a_change_names_the_key_that_the_file_has_not() -> None:
    assert "steps.hello.times: " in refused(GOOD, settings=["steps.hello.times=many"])
    assert "compute.threads: " in refused(GOOD, settings=["compute.threads=0"])


def test_the_home_of_nobody_is_refused() -> None:
    message = refused("name: x\nsteps:\n  a: {step: read-text, path: ~no-such-account/x}")
    assert "recipe.yaml:3" in message
    assert "~no-such-account" in message


@pytest.mark.parametrize("text", ["", "[]", "steps", "name: x", "name: x\nsteps: {}", "name: x\nsteps: {a: b}", "\x00"])
def test_what_is_not_a_recipe_is_refused(text: str) -> None:
    assert "recipe.yaml" in refused(text)


def test_a_missing_file_and_a_folder_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_recipe(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="folder"):
        read_recipe(tmp_path)


def test_a_setting_changes_one_key_before_it_is_checked() -> None:
    written = load_yaml(GOOD, "recipe.yaml")
    assert parse_recipe(written, Path(), ["steps.world.times=5"]).steps["world"].config.times == 5  # type: ignore[attr-defined]
    assert parse_recipe(written, Path(), ["seed=8"]).seed == 8
    assert parse_recipe(written, Path(), ["compute.threads=1"]).compute.threads == 1
    assert "did you mean 'world'?" in refused(GOOD, settings=["steps.wrld.times=5"])
    assert "did you mean 'times'?" in refused(GOOD, settings=["steps.world.time=5"])
    assert "path.to.key=value" in refused(GOOD, settings=["steps.world.times"])
    assert written.data["steps"]["world"]["times"] == 2


def test_a_relative_location_starts_from_the_recipes_folder(tmp_path: Path) -> None:
    text = "name: x\nsteps: {file: {step: read-text, path: texts/one.txt}}\n"
    recipe = parse_recipe(load_yaml(text, "recipe.yaml"), tmp_path)
    assert recipe.steps["file"].config.path == tmp_path / "texts" / "one.txt"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sqlite:///faults.db", "sqlite:///{folder}/faults.db"),
        ("sqlite+pysqlite:///in/faults.db?timeout=3", "sqlite+pysqlite:///{folder}/in/faults.db?timeout=3"),
        ("sqlite:////faults.db", "sqlite:////faults.db"),
        ("sqlite:///file:faults.db?uri=true", "sqlite:///file:faults.db?uri=true"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite:///${FAULTS}", "sqlite:///${FAULTS}"),
        ("postgresql+pg8000://host/faults", "postgresql+pg8000://host/faults"),
    ],
)
def test_a_file_of_sqlite_starts_from_the_recipes_folder_too(written: str, meant: str, tmp_path: Path) -> None:
    text = f"name: x\nsteps: {{rows: {{step: ingest-query, url: '{written}', query: SELECT 1 ORDER BY 1}}}}\n"
    recipe = parse_recipe(load_yaml(text, "recipe.yaml"), tmp_path)
    assert recipe.steps["rows"].config.url == meant.replace("{folder}", str(tmp_path))  # type: ignore[attr-defined]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_mutated_recipe_is_understood_or_refused_and_nothing_else(data: st.DataObject) -> None:
    text = GOOD
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        put = data.draw(st.text(alphabet=":{}[]-\n \t&*!|>'\"#%@`,?x0é\u2028\x00~", max_size=6))
        text = text[:start] + put + text[end:]
    with suppress(UserError):
        parse_recipe(load_yaml(text, "recipe.yaml"), Path())
