"""Guards that hold answers to a schema, and to the passages that were retrieved, over HTTP: whole and streamed."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.serving.gateway.guarded_house import saying
from tests.serving.gateway.observed_house import ABOUT_IT, PASSAGE, PATH, Observed
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
def test_a_schema_that_is_never_done_ends_the_answer_and_holds_up_nobody(observed: Observed, stream: bool) -> None:
    schemas: dict[str, Any] = {"s0": {"type": "object"}}
    for number in range(1, 17):
        schemas[f"s{number}"] = {"allOf": [{"$ref": f"#/$defs/s{number - 1}"}] * 2}
    tool = {"type": "function", "function": {"name": "send", "parameters": {"$defs": schemas, "$ref": "#/$defs/s16"}}}
    said = saying('<tool_call>\n{"name": "send", "arguments": {}}\n</tool_call>')

    def longest_wait() -> float:
        """Of somebody else, as a part of the time that it takes."""
        waited: list[float] = []
        done = threading.Event()

        def look() -> None:
            with observed.gateway.client(None) as client:
                while not done.is_set():
                    begun = time.monotonic()
                    client.get("/health").raise_for_status()
                    waited.append(time.monotonic() - begun)

        other = threading.Thread(target=look)
        other.start()
        before = time.monotonic()
        try:
            text, finish, _, calls, hits = told(observed, stream=stream, tools=[tool], **said)
        finally:
            took = time.monotonic() - before
            done.set()
            other.join()
        assert (text, calls, finish, hits) == ("", [], "content_filter", [("schema", "refuse")])
        return max(waited) / took

    # Else they stand still while it is looked, at every time; on a busy machine they may stand still at one.
    assert any(longest_wait() < 0.5 for _ in range(10))


def test_a_schema_that_leads_elsewhere_is_refused_before_the_answer(observed: Observed) -> None:
    asked: list[str] = []

    class Inside(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None: ...

    inside = HTTPServer(("127.0.0.1", 0), Inside)
    threading.Thread(target=inside.serve_forever, daemon=True).start()
    elsewhere = {"$ref": f"http://127.0.0.1:{inside.server_port}/secret"}
    tool = {"name": "send", "parameters": elsewhere}
    form = {"name": "person", "schema": elsewhere}
    call = saying('<tool_call>\n{"name": "send", "arguments": {}}\n</tool_call>')
    bodies: list[tuple[str, str, dict[str, Any]]] = [
        ("/v1/chat/completions", "tools", {"tools": [{"type": "function", "function": tool}], **call}),
        (
            "/v1/chat/completions",
            "response_format",
            {"response_format": {"type": "json_schema", "json_schema": form}},
        ),
        ("/v1/responses", "text", {"input": "Hi", "text": {"format": {"type": "json_schema", **form}}}),
        ("/v1/responses", "tools", {"input": "Hi", "tools": [{"type": "function", **tool}]}),
    ]
    for path, param, body in bodies:
        said = observed.ask(path, **body)
        assert said.status_code == 400, said.text
        assert said.json()["error"]["param"] == param
        assert "nothing is fetched for a schema" in said.json()["error"]["message"]
    inside.shutdown()
    assert asked == []


def test_what_is_no_text_is_not_looked_for(observed: Observed) -> None:
    for part in ({"type": "text"}, {"type": "text", "text": 5}, {"type": "note", "text": ABOUT_IT}):
        said = observed.ask(messages=[{"role": "user", "content": [part]}])
        assert (said.status_code, said.json()["error"]["param"]) == (400, "messages.0.content.0")
    parts = [{"type": "text", "text": ABOUT_IT}]
    said = observed.ask(messages=[{"role": "user", "content": parts}], max_tokens=1)
    assert [found["path"] for found in said.json()["choices"][0]["message"]["sources"]] == [PATH]


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
