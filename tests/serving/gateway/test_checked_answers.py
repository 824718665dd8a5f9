"""Guards that hold answers to a schema, and to the passages that were retrieved, over HTTP: whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.serving.gateway.guarded_house import saying
from tests.serving.gateway.observed_house import ABOUT_IT, PASSAGE, Observed
from tests.serving.gateway.records import records_of

SCHEMA = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["age"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
BIAS = {"logit_bias": dict.fromkeys(map(str, (8, 9, 10, 11, 12, 13)), -100.0)}
"""A random model would write white space between the parts of JSON for ever."""

TOOL = {
    "type": "function",
    "function": {
        "name": "send",
        "parameters": {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]},
    },
}

Told = tuple[str, str | None, str | None, list[dict[str, Any]], list[tuple[str, str]]]


def told(observed: Observed, *, stream: bool, **body: Any) -> Told:
    """The text, the reason of its end, a refusal, calls of tools, and what guards are on the record with."""
    said = observed.ask(**body, stream=stream)
    assert said.status_code == 200, said.text
    outcome = records_of(observed.workspace, said.headers["x-request-id"])[-1]
    assert outcome.bytes_scanned == outcome.bytes_emitted
    hits = [(guard.guard, guard.action) for guard in outcome.guards]
    if not stream:
        choice = said.json()["choices"][0]
        message = choice["message"]
        calls = message.get("tool_calls") or []
        return message["content"] or "", choice["finish_reason"], message.get("refusal"), calls, hits
    choices = [json.loads(line[6:])["choices"][0] for line in said.text.splitlines() if line.startswith("data: {")]
    deltas = [choice["delta"] for choice in choices]
    refusal = next((delta["refusal"] for delta in deltas if delta.get("refusal")), None)
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    return "".join(delta.get("content") or "" for delta in deltas), choices[-1]["finish_reason"], refusal, calls, hits


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_keeps_to_the_schema_that_was_asked_for_or_is_none(observed: Observed, stream: bool) -> None:
    text, finish, refusal, _, hits = told(observed, stream=stream, response_format=FORM, max_tokens=200, seed=1, **BIAS)
    assert (finish, refusal, hits) == ("stop", None, [])
    assert isinstance(json.loads(text)["age"], int)
    # Cut off, it is no JSON: nothing of it goes out, not even its beginning.
    text, finish, refusal, _, hits = told(observed, stream=stream, response_format=FORM, max_tokens=3, seed=1, **BIAS)
    assert (text, finish, hits) == ("", "content_filter", [("schema", "refuse")])
    assert refusal
    # Whoever asks for no schema is held to none.
    text, finish, refusal, _, hits = told(observed, stream=stream, **saying("This is no JSON."))
    assert (text, finish, refusal, hits) == ("This is no JSON.", "stop", None, [])


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_keeps_to_what_the_request_declares_of_its_tool(observed: Observed, stream: bool) -> None:
    def called(arguments: dict[str, Any]) -> Told:
        call = json.dumps({"name": "send", "arguments": arguments})
        return told(observed, stream=stream, tools=[TOOL], **saying(f"<tool_call>\n{call}\n</tool_call>"))

    _, finish, refusal, calls, hits = called({"to": "Ada"})
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [{"to": "Ada"}]
    assert (finish, refusal, hits) == ("tool_calls", None, [])
    for wrong in ({"to": 7}, {}):
        text, finish, refusal, calls, hits = called(wrong)
        assert (text, calls, finish, hits) == ("", [], "content_filter", [("schema", "refuse")])
        assert refusal


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_says_what_stands_in_the_passages_or_is_none(observed: Observed, stream: bool) -> None:
    invented = "The moon is made of green cheese and belongs to nobody."
    text, finish, refusal, _, hits = told(observed, stream=stream, text=ABOUT_IT, **saying(f"{PASSAGE} [1]"))
    assert (text, finish, refusal, hits) == (f"{PASSAGE} [1]", "stop", None, [])
    text, finish, refusal, _, hits = told(observed, stream=stream, text=ABOUT_IT, **saying(invented))
    assert (text, finish, hits) == ("", "content_filter", [("grounding", "refuse")])
    assert refusal
    # Where nothing was found there is nothing to hold it to.
    text, _, refusal, _, hits = told(observed, stream=stream, text="Bonjour", **saying(invented))
    assert (text, refusal, hits) == (invented, None, [])
