"""An answer that has to be JSON of a shape is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loresmith.errors import UserError
from loresmith.serving.guards.guard import Context
from tests.serving.guards.guarding import guards, in_pieces, written

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}
GOOD, BAD = '{"name": "Ada", "age": 36}', '{"name": "Ada", "age": -1}'


def passes(text: str, context: Context | None = None, tool: str = "", **settings: object) -> bool:
    guard = guards({"kind": "schema", **settings}).output(context, tool=tool)
    out, stopped = written(guard, list(in_pieces(text, 1, 5)))
    assert out == (text if stopped is None else "")
    if stopped is not None:
        assert "Ada" not in repr(stopped.verdicts)
    return stopped is None


def test_the_schema_of_the_request_counts() -> None:
    asked = Context(schema=SCHEMA)
    assert passes(GOOD, asked)
    assert not passes(BAD, asked)
    assert not passes(f"Here it is: {GOOD}", asked)
    assert not passes(GOOD[:-1], asked)
    assert passes("anything", Context())


def test_a_schema_of_the_operators_counts_before_it(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps({"type": "array"}))
    assert not passes(GOOD, Context(schema=SCHEMA), file=str(tmp_path / "schema.json"))
    assert passes("[1]", Context(schema=SCHEMA), file=str(tmp_path / "schema.json"))


def test_arguments_of_tools_are_what_the_request_declares() -> None:
    declared = Context(tools={"greet": SCHEMA})
    assert passes(GOOD, declared, tool="greet")
    assert not passes(BAD, declared, tool="greet")
    assert not passes(GOOD, declared, tool="unknown")
    assert passes(BAD, declared, tool="greet", tool_arguments=False)


def test_an_answer_of_tool_calls_alone_has_no_text_to_hold_to_a_schema() -> None:
    assert passes("", Context(schema=SCHEMA, tools={"greet": SCHEMA}))
    assert not passes("", Context(schema=SCHEMA))


def test_deep_json_is_refused_and_breaks_nothing() -> None:
    assert not passes("[" * 100_000, Context(schema=SCHEMA))


def test_a_schema_that_is_none_is_refused(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"type": 7}'):
        (tmp_path / "schema.json").write_text(text)
        with pytest.raises(UserError):
            guards({"kind": "schema", "file": "schema.json"}, folder=tmp_path)
