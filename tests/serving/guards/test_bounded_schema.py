"""A schema of anybody's fetches nothing, and looking comes to an end, whatever stands in it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator

from loresmith.errors import UserError
from loresmith.serving.guards.bounded_schema import SECONDS, BoundedSchema, TooMuchWork
from loresmith.serving.guards.guard import Context
from loresmith.serving.guards.verdict import FAILED
from tests.serving.guards.guarding import guards, written


def doubled(times: int, word: str = "allOf") -> dict[str, Any]:
    """A schema of some lines that is looked at two to the power of `times` times."""
    schemas: dict[str, Any] = {"s0": {"type": "object"}}
    for number in range(1, times + 1):
        twice = [{"$ref": f"#/$defs/s{number - 1}"}] * 2
        schemas[f"s{number}"] = {word: dict(zip("ab", twice, strict=True)) if word == "dependentSchemas" else twice}
    return {"$defs": schemas, "$ref": f"#/$defs/s{times}"}


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """What a server of this machine is asked for; its address stands first."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    paths.append(f"http://127.0.0.1:{server.server_port}/schema.json")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield paths
    server.shutdown()


def test_nothing_is_fetched_or_read_for_a_schema(asked: list[str], tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text('{"const": 5}')
    for address in (asked[0], file.as_uri(), "//127.0.0.1/x", "other.json", str(file), "http://[", "urn:x"):
        for schema in ({"$ref": address}, {"$id": "http://a/b", "items": {"$dynamicRef": address}}):
            with pytest.raises(UserError, match="leads out of it"):
                BoundedSchema(schema)
            # Nor where it is not seen beforehand, being called by the name of what is data.
            hidden = {"default": schema, "properties": {"x": {"$ref": "#/default"}}}
            with pytest.raises(Exception, match=r"Unresolvable|refer"):
                BoundedSchema(hidden).broken_rule({"x": [1]})
    assert len(asked) == 1


def test_what_a_request_brings_is_refused_before_and_not_followed_after(asked: list[str]) -> None:
    guard = guards({"kind": "schema"})
    for context in (Context(schema={"$ref": asked[0]}), Context(tools={"send": {"$ref": asked[0]}})):
        with pytest.raises(UserError, match="leads out of it"):
            guard.require_followed(context)
        tool = "send" if context.tools else ""
        out, stopped = written(guard.output(context, tool=tool), ["{}"])
        assert out == ""
        assert stopped is not None
        assert [verdict.rule for verdict in stopped.verdicts] == [FAILED]
    # Of what no guard looks at nothing is asked.
    guards({"kind": "schema", "tool_arguments": False}).require_followed(Context(tools={"send": {"$ref": asked[0]}}))
    guards({"kind": "secrets"}).require_followed(Context(schema={"$ref": asked[0]}))
    assert len(asked) == 1


def test_an_operators_schema_refers_to_nothing_but_itself(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps({"$ref": "other.json"}))
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(UserError, match="leads out of it"):
        guards({"kind": "schema", "file": "schema.json"}, folder=tmp_path)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"$defs": {"a": {"type": "string"}}, "$ref": "#/$defs/a"}, "x", 1),
        ({"$id": "http://a/b", "$defs": {"c": {"$id": "c", "type": "string"}}, "$ref": "c"}, "x", 1),
        ({"$defs": {"a": {"$anchor": "here", "type": "string"}}, "$ref": "#here"}, "x", 1),
        ({"properties": {"next": {"$ref": "#"}}, "required": ["id"]}, {"id": 1, "next": {"id": 2}}, {"next": {}}),
        ({"pattern": "^é+$"}, "éé", "éa"),
        ({"pattern": "b"}, "abc", "ac"),
        ({"pattern": "^[^x]*$"}, '"\\/\b\n\x00\x1f\x7f\u2028😀', "x"),
        ({"patternProperties": {"^n": {"type": "number"}}}, {"n": 1, "m": ""}, {"n": ""}),
        ({"patternProperties": {"^n": {}}, "additionalProperties": False}, {"n": 1}, {"m": 1}),
        ({"properties": {"a": {}}, "additionalProperties": {"type": "number"}}, {"a": "", "b": 1}, {"b": ""}),
        ({"properties": {"a": {}}, "unevaluatedProperties": False}, {"a": 1}, {"b": 1}),
        ({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}, None], [{"a": [1], "b": 2}, {"b": 2.0, "a": [1]}]),
    ],
)
def test_what_a_schema_says_holds(schema: dict[str, Any], good: Any, bad: Any) -> None:
    assert BoundedSchema(schema).broken_rule(good) is None
    assert BoundedSchema(schema).broken_rule(bad) is not None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 1.5]) | st.text("ab\n", max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)
SCHEMA = {
    "$defs": {
        "names": {"patternProperties": {"^a": {"pattern": "^a*b?$"}}, "properties": {"b": {"uniqueItems": True}}}
    },
    "uniqueItems": True,
    "pattern": "(?:ab)*$",
    "allOf": [{"$ref": "#/$defs/names"}],
    "additionalProperties": {"enum": [1, True, [], "a"]},
    "items": {"$ref": "#"},
}


@given(value=VALUES)
def test_it_says_what_jsonschema_says(value: Any) -> None:
    assert (BoundedSchema(SCHEMA).broken_rule(value) is None) == Draft202012Validator(SCHEMA).is_valid(value)


USUAL = Draft202012Validator.META_SCHEMA["$id"]
DRAFT_7 = Draft7Validator.META_SCHEMA["$id"]

ENDLESS: dict[str, tuple[dict[str, Any], Any]] = {
    "doubled": (doubled(30), {}),
    "any of doubled": (doubled(30, "anyOf"), []),
    "not evaluated": (
        {"unevaluatedProperties": False, **doubled(30, "dependentSchemas")},
        {"a": 1, "b": 2},
    ),
    "doubled, of the usual draft": (
        {**doubled(20), "$defs": {name: {"$schema": USUAL, **part} for name, part in doubled(20)["$defs"].items()}},
        {},
    ),
    "in circles": ({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}, {}),
    "items in circles": ({"items": {"allOf": [{"$ref": "#"}] * 3}}, json.loads("[" * 60 + "]" * 60)),
    "long messages": ({"anyOf": [{"type": "string"}] * 20_000}, ["x" * 1000] * 1000),
    "an expression of counts": ({"items": {"pattern": "((a{1,1000}){1,1000}){1,1000}"}}, ["a" * 500] * 1000),
}
TOLD: dict[str, tuple[dict[str, Any], Any]] = {
    "an expression that tries again": ({"pattern": "^(a+)+$"}, "a" * 50_000 + "!"),
    "names that try again": ({"patternProperties": {"^(a+)+$": False}, "maxProperties": 0}, {"a" * 50_000 + "!": 1}),
    "names left over": (
        {"patternProperties": {"^(a|a)*$": {}}, "additionalProperties": False},
        {"a" * 50_000 + "!": 1},
    ),
    "an expression of another draft": ({"items": {"$schema": DRAFT_7, "pattern": "^(a+)+$"}}, ["a" * 27 + "!"]),
    "all different": ({"uniqueItems": True, "maxItems": 0}, [{"a": [number]} for number in range(20_000)]),
}


@pytest.mark.parametrize("kind", [*ENDLESS, *TOLD])
def test_looking_comes_to_an_end(kind: str) -> None:
    schema, value = {**ENDLESS, **TOLD}[kind]
    before = time.thread_time()
    if kind in TOLD:
        assert BoundedSchema(schema).broken_rule(value) is not None
    else:
        with pytest.raises((TooMuchWork, RecursionError)):
            BoundedSchema(schema).broken_rule(value)
    assert time.thread_time() - before < SECONDS + 20  # for ever, or many times as long


def test_what_takes_too_long_to_check_is_refused() -> None:
    out, stopped = written(guards({"kind": "schema"}).output(Context(schema=doubled(30))), ["{}"])
    assert out == ""
    assert stopped is not None
    assert [verdict.rule for verdict in stopped.verdicts] == ["schema: takes too long to check"]


def test_many_schemas_have_no_more_time_than_one() -> None:
    many = {f"tool_{number}": {"pattern": f"{number}(?:[a-z]|\\\\d){{500}}" * 400} for number in range(500)}
    of_one = {"tool": {"patternProperties": {f"{number}(?:[a-z]|\\\\d){{50}}": {} for number in range(30_000)}}}
    for tools in (many, of_one):
        before = time.thread_time()
        with pytest.raises(UserError, match="too large"):
            guards({"kind": "schema"}).require_followed(Context(tools=tools))
        assert time.thread_time() - before < SECONDS + 20  # for ever, or many times as long


def test_words_mean_the_same_whatever_draft_they_say_they_are_of() -> None:
    schema = {"items": {"$schema": DRAFT_7, "$defs": {"a": {}}, "$ref": "#/$defs/a", "maximum": 1}, "$defs": {"a": {}}}
    assert BoundedSchema(schema).broken_rule([2]) == "items/maximum"  # draft 7 reads nothing beside a reference
    assert BoundedSchema(schema).broken_rule([1]) is None


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"items": {"pattern": "(?=a)"}}, r"the pattern '\(\?=a\)' in a schema cannot be matched here"),
        ({"patternProperties": {r"(a)\1": {}}}, "cannot be matched here"),
        ({"pattern": "("}, "cannot be matched here"),
        ({"pattern": "a" * 10_001}, "more than 10000 characters"),
        ({"allOf": [{"patternProperties": {"a": {}}}], "unevaluatedProperties": False}, "both"),
    ],
)
def test_what_cannot_be_followed_is_told_beforehand(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(UserError, match=why):
        guards({"kind": "schema"}).require_followed(Context(schema=schema))
    with pytest.raises(UserError, match=f"the parameters of 'send': .*{why}"):
        guards({"kind": "schema"}).require_followed(Context(tools={"send": schema}))
