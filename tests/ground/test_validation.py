"""What a person wrote wrong is named by file, line and key, with the nearest thing that would have been right."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from loresmith.errors import UserError
from loresmith.nearest import nearest, unknown_name
from loresmith.validation import validate
from loresmith.yaml_lines import load_yaml


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Exact(Strict):
    kind: Literal["exact"]
    strip: bool = True


class Pattern(Strict):
    kind: Literal["regex"]
    pattern: str
    ignore_case: bool = False


class Case(Strict):
    prompt: str
    scorer: Annotated[Exact | Pattern, Field(discriminator="kind")] | None = None


class Suite(Strict):
    name: str
    budget_tokens: int = Field(default=1, ge=1)
    cases: tuple[Case, ...] = ()
    named: dict[str, Case] = {}
    until: date | None = None

    @model_validator(mode="after")
    def _named_well(self) -> Suite:
        if self.name == "bad":
            raise ValueError("the name is bad")
        return self


def refused(text: str, prefix: tuple[str | int, ...] = ()) -> UserError:
    mapped = load_yaml(text, "suite.yaml")
    data = mapped.data
    for part in prefix:
        data = data[part]
    with pytest.raises(UserError) as caught:
        validate(Suite, data, mapped.lines, mapped.source, prefix)
    return caught.value


def test_an_unknown_key_is_named_with_its_line_and_the_nearest() -> None:
    error = refused("name: a\nbudget-token: 3")
    assert str(error) == "suite.yaml:2: unknown key 'budget-token'; did you mean 'budget_tokens'?"


def test_it_is_found_inside_lists_mappings_and_unions() -> None:
    text = "name: a\ncases:\n- prompt: p\n  scorer:\n    kind: regex\n    patern: x"
    assert str(refused(text)).splitlines() == [
        "suite.yaml:4: the key 'pattern' is missing in cases[0].scorer",
        "suite.yaml:6: unknown key 'patern' in cases[0].scorer; did you mean 'pattern'?",
    ]
    assert "named.x; did you mean 'prompt'?" in str(refused("name: a\nnamed: {x: {promt: 1}}"))


def test_a_prefix_places_a_part_of_a_larger_file() -> None:
    error = refused("steps:\n  base:\n    name: a\n    budget_tokens: many", ("steps", "base"))
    assert error.where == "suite.yaml:4"
    assert error.what.startswith("steps.base.budget_tokens: should be a valid integer")
    assert error.what.endswith("got 'many'")


def test_every_mistake_is_told_at_once_in_the_files_order() -> None:
    error = refused("budget_tokens: 0\nnmae: a")
    assert [line.split(": ")[0] for line in str(error).splitlines()] == ["suite.yaml:1", "suite.yaml:1", "suite.yaml:2"]


def test_what_is_no_mapping_and_what_a_validator_refuses() -> None:
    assert "should be a mapping" in str(refused("just text"))
    assert str(refused("name: bad")) == "suite.yaml:1: the name is bad"


def test_a_day_is_asked_for_as_days_are_written() -> None:
    for written in ("tomorrow", "31.12.2026", "2026-13-01", "[]"):
        said = str(refused(f"name: a\nuntil: {written}"))
        assert said.startswith("suite.yaml:2: until: should be a day, written as YYYY-MM-DD, got "), said


def test_nearest_ignores_case_and_the_choice_of_dash() -> None:
    assert nearest("Learning-Rate", ["learning_rate", "layers"]) == "learning_rate"
    assert nearest("zzz", ["learning_rate"]) is None
    assert unknown_name("step", "zzz", ["b", "a"]) == "unknown step 'zzz'; known: a, b"
