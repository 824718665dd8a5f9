"""No route, no role and no way of sending or streaming goes around a guard."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.serving.gateway.guarded_house import A_PERSON, ASKED, MAIL, REFUSED, ROUTED, STATED, Guarded, saying
from tests.serving.gateway.records import records_of

CALL = {"name": "send", "arguments": {"to": "x"}}
TOOL = {"type": "function", "function": {"name": "send", "parameters": {"type": "object"}}}


def chat(text: str = "Hi", **more: Any) -> dict[str, Any]:
    return {"model": "acme", "messages": [{"role": "user", "content": text}], "max_tokens": 8, "seed": 1, **more}


def places(word: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Every place of a request in which a text can stand."""
    user = {"role": "user", "content": "Hi"}

    def said(*messages: dict[str, Any], **more: Any) -> tuple[str, dict[str, Any]]:
        return "/v1/chat/completions", {**chat(), "messages": [*messages], **more}

    call = {"id": "c", "type": "function", "function": {"name": "send", "arguments": json.dumps({"to": word})}}
    function = TOOL["function"]
    assert isinstance(function, dict)
    described = {"type": "function", "function": {**function, "description": word}}
    schema = {"type": "object", "properties": {"x": {"type": "string", "description": word}}}
    return {
        "user": said({"role": "user", "content": word}),
        "system": said({"role": "system", "content": word}, user),
        "developer": said({"role": "developer", "content": word}, user),
        "assistant": said(user, {"role": "assistant", "content": word}, user),
        "tool": said(
            user,
            {"role": "assistant", "tool_calls": [call | {"function": {"name": "send", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": word},
        ),
        "the arguments of a call": said(user, {"role": "assistant", "tool_calls": [call]}, user),
        "a name": said({**user, "name": word}),
        "thoughts": said(user, {"role": "assistant", "content": "x", "reasoning_content": word}, user),
        "the second part": said({"role": "user", "content": [{"type": "text", "text": t} for t in ("Hi", word)]}),
        "split over parts": said(
            {"role": "user", "content": [{"type": "text", "text": t} for t in (word[:4], word[4:])]}
        ),
        "an early turn": said({"role": "user", "content": word}, {"role": "assistant", "content": "x"}, user),
        "a tool's description": said(user, tools=[described]),
        "a tool's parameters": said(
            user, tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}]
        ),
        "a prompt": ("/v1/completions", {"model": "acme", "prompt": word, "max_tokens": 4}),
        "a response's input": ("/v1/responses", {"model": "acme", "input": word, "max_output_tokens": 4}),
        "a response's instructions": (
            "/v1/responses",
            {"model": "acme", "input": "Hi", "instructions": word, "max_output_tokens": 4},
        ),
        "a response's list": (
            "/v1/responses",
            {"model": "acme", "input": [{"role": "user", "content": word}], "max_output_tokens": 4},
        ),
    }


@pytest.mark.parametrize("kind", ["note", "x", "TEXT", "", ["text"]])
def test_a_part_that_guards_do_not_know_comes_in_nowhere(guarded: Guarded, kind: Any) -> None:
    """Two of them are one text for the model."""
    half = len(REFUSED) // 2
    for first in ("text", kind):
        parts = [{"type": first, "text": REFUSED[:half]}, {"type": kind, "text": REFUSED[half:]}]
        with guarded.client() as client:
            body = {"model": "acme", "max_tokens": 2, "messages": [{"role": "user", "content": parts}]}
            said = client.post("/v1/chat/completions", json=body)
        assert said.status_code == 400
        assert said.json()["error"]["param"] == f"messages.0.content.{int(first == 'text')}"


@pytest.mark.parametrize("place", places("x"))
def test_what_may_not_come_in_comes_in_nowhere(guarded: Guarded, place: str) -> None:
    for word, code, stated in ((REFUSED, "content_filter", STATED), (ASKED, "needs_person", A_PERSON)):
        path, body = places(word)[place]
        with guarded.client() as client:
            for stream in (False, True):
                said = client.post(path, json={**body, "stream": stream})
                assert said.status_code == 400, said.text
                error = said.json()["error"]
                assert (error["code"], error["message"]) == (code, stated)


def prompt_seen(guarded: Guarded, response: str) -> str:
    """What the model was shown, as the record has it."""
    from loresmith import Workspace
    from loresmith.sdk.calls.audit import SEARCH

    request = SEARCH.request(response=response, phase="intent", content=True, because="for the tests")
    records_of(guarded.workspace, response)
    with Workspace.open(guarded.workspace) as opened:
        (found,) = SEARCH.run(opened, request, lambda _: None).records
    return json.dumps(found.said)


@pytest.mark.parametrize("place", [place for place in places("x") if place not in ("split over parts", "a name")])
def test_what_is_masked_coming_in_is_masked_everywhere(guarded: Guarded, place: str) -> None:
    path, body = places(f"Write to {MAIL} now")[place]
    with guarded.client() as client:
        said = client.post(path, json=body)
        assert said.status_code == 200, said.text
        seen = prompt_seen(guarded, said.headers["x-request-id"])
    assert MAIL not in seen
    assert "[EMAIL]" in seen


def told(guarded: Guarded, path: str, body: dict[str, Any]) -> tuple[str, str | None, str | None, str]:
    """Text, reason of the end, refusal, and everything that came over the line."""
    with guarded.client() as client:
        said = client.post(path, json=body)
    assert said.status_code == 200, said.text
    if not body.get("stream"):
        choice = said.json()["choices"][0]
        message = choice.get("message") or {"content": choice["text"]}
        return message["content"] or "", choice["finish_reason"], message.get("refusal"), said.text
    events = [json.loads(line[6:]) for line in said.text.splitlines() if line.startswith("data: {")]
    choices = [one["choices"][0] for one in events]
    deltas = [one.get("delta") or {"content": one.get("text")} for one in choices]
    refusals = [delta["refusal"] for delta in deltas if delta.get("refusal")]
    return (
        "".join(delta.get("content") or "" for delta in deltas),
        choices[-1]["finish_reason"],
        refusals[0] if refusals else None,
        said.text,
    )


ASKING = {
    "/v1/chat/completions": {"model": "acme", "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/completions": {"model": "acme", "prompt": "Hi"},
}
LONG = "It is a long way to the sea and back again, and nobody knows why. "


@pytest.mark.parametrize("path", ASKING)
@pytest.mark.parametrize("logprobs", [False, True])
def test_what_is_masked_going_out_is_the_same_streamed_or_not(guarded: Guarded, path: str, logprobs: bool) -> None:
    asked = {**ASKING[path], **saying(f"{LONG}Write to {MAIL} today. {LONG}")}
    if logprobs:
        asked["logprobs"] = True if "chat" in path else 3
    answers = [told(guarded, path, {**asked, "stream": stream}) for stream in (False, True)]
    for text, finish, refusal, everything in answers:
        assert text == f"{LONG}Write to [EMAIL] today. {LONG}"
        assert (finish, refusal) == ("stop", None)
        # Not as a text, and not letter by letter.
        assert "lovelace" not in everything
        assert "lovelace" not in "".join(spelled(everything))


def spelled(everything: str) -> list[str]:
    """All tokens that an answer tells besides its text."""
    bodies = [json.loads(line.removeprefix("data: ")) for line in everything.splitlines() if '{"' in line]
    found: list[str] = []
    for body in bodies:
        for choice in body["choices"]:
            probabilities = choice.get("logprobs") or {}
            found += [one["token"] for one in probabilities.get("content") or ()]
            found += probabilities.get("tokens") or ()
    return found


@pytest.mark.parametrize("path", ASKING)
@pytest.mark.parametrize(("word", "stated"), [(REFUSED, STATED), (ASKED, A_PERSON), (ROUTED, "'other'")])
def test_an_answer_that_may_not_go_on_ends_and_says_why(guarded: Guarded, path: str, word: str, stated: str) -> None:
    written = f"{LONG}The {word} sleeps. {LONG}"
    asked = {**ASKING[path], **saying(written), **({"logprobs": True} if "chat" in path else {"logprobs": 1})}
    for stream in (False, True):
        text, finish, refusal, everything = told(guarded, path, {**asked, "stream": stream})
        assert finish == "content_filter"
        assert written.startswith(text)
        assert word not in text
        assert word not in "".join(spelled(everything))
        if "chat" in path:
            assert refusal is not None
            assert stated in refusal


def test_a_text_that_passes_is_told_token_by_token(guarded: Guarded) -> None:
    for stream in (False, True):
        asked = {**ASKING["/v1/chat/completions"], **saying(LONG), "logprobs": True, "stream": stream}
        text, _, _, everything = told(guarded, "/v1/chat/completions", asked)
        assert "".join(spelled(everything)) == text == LONG


def test_another_release_answers_where_a_guard_sends_there(guarded: Guarded) -> None:
    for path, body in (
        ("/v1/chat/completions", chat(f"the {ROUTED}")),
        ("/v1/completions", {"model": "acme", "prompt": f"the {ROUTED}", "max_tokens": 4}),
    ):
        with guarded.client() as client:
            said = client.post(path, json=body)
        assert said.json()["model"] == "other"


def calling(arguments: dict[str, Any], before: str = "") -> dict[str, Any]:
    written = f"{before}<tool_call>\n{json.dumps({'name': 'send', 'arguments': arguments})}\n</tool_call>"
    return {**chat(tools=[TOOL]), **saying(written)}


def test_the_arguments_of_a_call_are_guarded(guarded: Guarded) -> None:
    with guarded.client() as client:
        for stream in (False, True):
            said = client.post("/v1/chat/completions", json={**calling({"to": MAIL}), "stream": stream})
            assert MAIL not in said.text
            assert "[EMAIL]" in said.text
            said = client.post("/v1/chat/completions", json={**calling({"to": REFUSED}, "So "), "stream": stream})
            assert REFUSED not in said.text
            assert STATED in said.text
            assert "content_filter" in said.text
            assert '\\"to\\"' not in said.text  # nothing of the call


def test_an_echo_is_what_guards_made_of_it(guarded: Guarded) -> None:
    asked = {"model": "acme", "prompt": f"Mail {MAIL} ", "max_tokens": 2, "echo": True}
    with guarded.client() as client:
        for stream in (False, True):
            said = client.post("/v1/completions", json={**asked, "stream": stream})
            assert MAIL not in said.text
            assert "[EMAIL]" in said.text


def test_token_ids_are_looked_at_as_the_text_they_are(guarded: Guarded) -> None:
    from tests.models.tiny_tokenizer import make_tokenizer

    ids = make_tokenizer()(f"a {REFUSED}")["input_ids"]
    with guarded.client() as client:
        said = client.post("/v1/completions", json={"model": "acme", "prompt": ids, "max_tokens": 2})
    assert (said.status_code, said.json()["error"]["code"]) == (400, "content_filter")
