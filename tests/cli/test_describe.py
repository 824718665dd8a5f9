"""What a model says of itself in words, which is what help, `loresmith steps` and the reference show."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from loresmith.sdk.describe import FieldDoc, describe


class Inner(BaseModel):
    rate: float = Field(default=0.5, gt=0, le=1, description="How much a second.")


class Outer(BaseModel):
    name: str = Field(description="Its name.")
    count: int = Field(default=3, ge=1, description="How many.")
    mode: Literal["all", "some"] = Field(default="all", description="Which.")
    parts: tuple[Inner, ...] = Field(default=(), description="Its parts.")
    inner: Inner = Field(default=Inner(), description="One part.")
    maybe: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Perhaps.")
    either: bool | str = Field(default=True, description="One or the other.")


class Tree(BaseModel):
    below: list[Tree] = Field(default=[], description="Branches.")


DOCS = {field.name: field for field in describe(Outer)}


def test_types_and_ranges_are_in_words() -> None:
    assert {name: field.type for name, field in DOCS.items()} == {
        "name": "text",
        "count": "whole number, at least 1",
        "mode": '"all" or "some"',
        "parts": "list of mapping",
        "inner": "mapping",
        "maybe": "whole number, at least 0",
        "either": "true or false or text",
    }


def test_what_can_be_null() -> None:
    assert [name for name, field in DOCS.items() if field.nullable] == ["maybe"]


def test_defaults_and_what_is_required() -> None:
    assert [name for name, field in DOCS.items() if field.required] == ["name"]
    assert DOCS["count"].default_in_words == "3"
    assert DOCS["maybe"].default_in_words == DOCS["name"].default_in_words == ""


def test_the_fields_of_a_model_inside_are_there_wherever_it_stands() -> None:
    rate = FieldDoc(
        name="rate",
        type="number, more than 0 and at most 1",
        nullable=False,
        required=False,
        default=0.5,
        description="How much a second.",
    )
    assert DOCS["inner"].fields == DOCS["parts"].fields == (rate,)


def test_a_model_that_holds_itself_ends() -> None:
    (below,) = describe(Tree)
    assert below.type == "list of mapping"


def test_the_values_of_a_mapping_are_told_whatever_its_names_must_look_like() -> None:
    class House(BaseModel):
        free: dict[str, Inner] = Field(description="By any name.")
        strict: dict[Annotated[str, StringConstraints(pattern="^[a-z]+$")], Inner] = Field(description="By such names.")

    free, strict = describe(House)
    assert free.type == strict.type == "mapping of names to mapping"
    assert free.fields == strict.fields == DOCS["inner"].fields
