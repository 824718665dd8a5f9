"""What developers of applications get wrong: they are told which field it is, and what it may be."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.gateway.house import House, chat

TOOL = {"type": "function", "function": {"name": "find"}}
ROLES = "'system', 'developer', 'user', 'assistant' or 'tool'"
FORMATS = "'text', 'json_object' or 'json_schema'"
NOT_SERVED = "this is not served: leave it out"

CHATS: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({"temperature": "hot"}, "temperature", "must be a number"),
    ({"temperature": 5}, "temperature", "must be at most 2"),
    ({"temperature": None, "tempature": 1}, "tempature", "this field is not known here; did you mean 'temperature'?"),
    ({"top_p": 0}, "top_p", "must be more than 0"),
    ({"max_tokens": -1}, "max_tokens", "must be at least 1"),
    ({"max_tokens": "many"}, "max_tokens", "must be a whole number"),
    ({"max_tokens": 1.5}, "max_tokens", "must be a whole number"),
    ({"n": 0}, "n", "must be at least 1"),
    ({"seed": 2**70}, "seed", "must be less than 9223372036854775808"),
    ({"stream": "perhaps"}, "stream", "must be true or false"),
    ({"stop": ["."] * 17}, "stop", "must be a list of at most 16. The answer ends before the first of these"),
    (
        {"stop": "x" * 201},
        "stop",
        "must be a text of at most 200 characters. The answer ends before the first of these",
    ),
    ({"stop": 5}, "stop", "must be a text or a list. The answer ends before the first of these"),
    ({"stop": ["a", 5]}, "stop.1", "must be a text. The answer ends before the first of these"),
    ({"logit_bias": {"5": 101}}, "logit_bias.5", "must be at most 100"),
    ({"logit_bias": {"Hi": 1}}, "logit_bias", "each key must be a whole number"),
    ({"model": None}, "model", "must be a text"),
    ({"model": ""}, "model", "must be a text that is not empty"),
    ({"messages": []}, "messages", "must be a list that is not empty"),
    ({"messages": "Hi"}, "messages", "must be a list"),
    ({"messages": ["Hi"]}, "messages.0", "must be an object"),
    ({"messages": [{"role": "bot", "content": "Hi"}]}, "messages.0.role", f"must be {ROLES}"),
    ({"messages": [{"content": "Hi"}]}, "messages.0.role", "this field is missing"),
    ({"messages": [{"role": "user"}]}, "messages.0.content", "must be a text or a list of parts"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content", "must be a text or a list"),
    ({"messages": [{"role": "user", "content": ["Hi"]}]}, "messages.0.content.0", "must be an object"),
    ({"messages": [{"role": "user", "content": "Hi", "audio": {}}]}, "messages.0.audio", NOT_SERVED),
    ({"messages": [{"who": "user"}] * 60}, "messages.0.role", "this field is missing"),
    ({"tools": TOOL}, "tools", "must be a list"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools.0.function.name", "this field is missing"),
    ({"tools": [{"type": "web_search"}]}, "tools.0.type", "must be 'function'"),
    (
        {"tools": [TOOL], "tool_choice": "find"},
        "tool_choice",
        "must be 'none', 'auto' or 'required', or an object",
    ),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "name": "find"}},
        "tool_choice.function",
        "this field is missing",
    ),
    ({"response_format": "json"}, "response_format", "must be an object"),
    ({"response_format": {"type": "json"}}, "response_format.type", f"must be {FORMATS}"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "this field is missing"),
    ({"Functions": []}, "Functions", "this field is not known here"),
    ({"x" * 20_000: 1}, "x" * 100, "this field is not known here"),
)

OTHERS: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("completions", {}, "prompt", "this field is missing"),
    ("completions", {"prompt": 5}, "prompt", "must be a text or a list. One text, or its token ids"),
    (
        "completions",
        {"prompt": ["Hi", "Ho"]},
        "prompt.0",
        "must be a whole number. One text, or its token ids",
    ),
    (
        "completions",
        {"prompt": "Hi", "suffix": "."},
        "suffix",
        f"{NOT_SERVED}. Filling gaps is not served: `loresmith fill`",
    ),
    ("responses", {"input": 5}, "input", "must be a text or a list"),
    ("responses", {"input": "Hi", "store": True}, "store", "must be false"),
    (
        "responses",
        {"input": "Hi", "previous_response_id": "x"},
        "previous_response_id",
        f"{NOT_SERVED}. Send the conversation again instead",
    ),
    ("responses", {"input": [{"role": "bot", "content": "Hi"}]}, "input.0.role", "must be 'system', 'developer',"),
    (
        "responses",
        {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
        "input.0.content.0.type",
        "must be 'input_text', 'output_text' or 'text'",
    ),
    (
        "responses",
        {"input": "Hi", "text": {"format": {"type": "json_schema", "name": "x"}}},
        "text.format.schema",
        "this field is missing",
    ),
    ("embeddings", {"input": [[1, 2]]}, "input.0", "must be a text. One text or several"),
    ("embeddings", {"input": "Hi", "encoding_format": "int8"}, "encoding_format", "must be 'float' or 'base64'"),
    ("feedback", {"response": "x", "rating": "good"}, "rating", "must be 'up' or 'down'"),
    ("feedback", {"response": "x", "rating": "up"}, "model", "this field is not known here"),
)


def told(house: House, route: str, body: dict[str, Any]) -> tuple[int, str, str]:
    with house.client() as client:
        said = client.post(f"/v1/{route}", json=body)
    error = said.json()["error"]
    return said.status_code, error["param"], error["message"]


@pytest.mark.parametrize(("wrong", "field", "what"), CHATS)
def test_a_chat_that_is_wrong_is_told_where_and_how(house: House, wrong: dict[str, Any], field: str, what: str) -> None:
    assert told(house, "chat/completions", chat() | wrong) == (400, field, f"{field}: {what}")


@pytest.mark.parametrize(("route", "wrong", "field", "what"), OTHERS)
def test_so_is_everything_else(house: House, route: str, wrong: dict[str, Any], field: str, what: str) -> None:
    status, param, message = told(house, route, {"model": "acme", **wrong})
    assert (status, param) == (400, field)
    assert message.startswith(f"{field}: {what}")


def test_a_body_that_is_no_object_is_told_so(house: House) -> None:
    with house.client() as client:
        for sent, what in ((b"[]", "the body must be an object"), (b"{", "the body is no JSON: ")):
            said = client.post("/v1/completions", content=sent, headers={"content-type": "application/json"})
            error = said.json()["error"]
            assert (said.status_code, error["param"]) == (400, None)
            assert error["message"].startswith(what)
