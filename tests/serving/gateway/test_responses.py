"""`/v1/responses`, asked by the official client over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel, ValidationError

from loresmith.serving.gateway.problem import Problem
from loresmith.serving.gateway.responses_input import messages_of
from loresmith.serving.gateway.shapes import ResponsesRequest
from tests.serving.gateway.faces import FORBIDDEN, PUMP, STATED, Face
from tests.serving.gateway.guarded_house import MAIL, Guarded
from tests.serving.gateway.house import House

TOOL: Any = {
    "type": "function",
    "name": "stock",
    "description": "How many there are.",
    "parameters": {
        "type": "object",
        "properties": {"part": {"enum": ["OF-12", "OF-13"]}},
        "required": ["part"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Part(BaseModel):
    part: Literal["OF-12", "OF-13"]
    urgent: bool


def says(text: str) -> Any:
    """A form that only one text has."""
    return {"format": {"type": "json_schema", "name": "said", "strict": True, "schema": {"const": text}}}


def typed(events: list[Any]) -> list[str]:
    """The types of events, repeated ones once."""
    types = [event.type for event in events]
    return [kind for n, kind in enumerate(types) if n == 0 or kind != types[n - 1]]


def test_an_answer_is_the_same_whole_and_as_a_stream(face: Face) -> None:
    client = face.openai()
    asked: Any = {"model": "acme", "input": "Hello", "instructions": "Be brief.", "temperature": 0}
    whole = client.responses.create(**asked, max_output_tokens=12)
    assert whole.output_text
    assert (whole.status, whole.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert whole.usage.output_tokens == 12
    assert whole.usage.total_tokens == whole.usage.input_tokens + 12
    assert whole.id.startswith("resp_")
    events = list(client.responses.create(**asked, max_output_tokens=12, stream=True))
    assert typed(events) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole.output_text
    assert events[-1].response.output_text == whole.output_text
    assert events[-1].response.usage.output_tokens == 12


def not_cut_off(ask: Callable[[], Any]) -> Any:
    """An answer in a form, asked for again where this model, which draws at random, wrote white space to the end."""
    for _ in range(10):
        with suppress(ValidationError):
            return ask()
    raise AssertionError("all of them were cut off")


def test_a_stream_ends_in_a_parsed_answer(face: Face) -> None:
    client = face.openai()
    asked: Any = {"model": "acme", "input": "Which part?", "text_format": Part, "max_output_tokens": 200}

    def streamed() -> tuple[list[str], Any]:
        with client.responses.stream(**asked) as stream:
            return [event.type for event in stream], stream.get_final_response()

    kinds, final = not_cut_off(streamed)
    assert kinds[-1] == "response.completed"
    assert isinstance(final.output_parsed, Part)
    assert final.output_parsed == Part.model_validate_json(final.output_text)
    parsed = not_cut_off(lambda: client.responses.parse(**asked))
    assert isinstance(parsed.output_parsed, Part)
    assert parsed.text.format.type == "json_schema"


INCLUDE = ["message.output_text.logprobs"]


def spelled(tokens: Any) -> str:
    return "".join(token.token for token in tokens)


def facts(tokens: Any) -> list[Any]:
    """Everything that is said of tokens."""
    return [
        (each.token, each.logprob, each.bytes, [(one.token, one.logprob, one.bytes) for one in each.top_logprobs])
        for each in tokens
    ]


def test_log_probabilities_are_those_of_a_chat(house: House) -> None:
    """Whole and streamed; no guard looks at answers here, so each token is told with the text that it is of."""
    client = house.openai()
    asked: dict[str, Any] = {"model": "acme", "temperature": 0, "top_logprobs": 3}
    chat = client.chat.completions.create(
        **asked, messages=[{"role": "user", "content": "Hello"}], max_tokens=20, logprobs=True
    )
    expected = facts(chat.choices[0].logprobs.content)
    assert len(expected) > 3
    asked |= {"input": "Hello", "max_output_tokens": 20, "include": INCLUDE}
    whole = client.responses.create(**asked)
    assert whole.output_text == chat.choices[0].message.content
    assert facts(whole.output[0].content[0].logprobs) == expected
    assert whole.top_logprobs == 3
    events = list(client.responses.create(**asked, stream=True))
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert facts(token for event in deltas for token in event.logprobs) == expected
    assert sum(bool(event.logprobs) for event in deltas) > 2  # not all at the end
    (done,) = [event for event in events if event.type == "response.output_text.done"]
    assert facts(done.logprobs) == expected
    assert facts(events[-1].response.output[0].content[0].logprobs) == expected
    # With nobody's alternatives, and not at all where nobody asks.
    alone = client.responses.create(**{**asked, "top_logprobs": None})
    assert [each[:3] for each in facts(alone.output[0].content[0].logprobs)] == [each[:3] for each in expected]
    assert not any(each.top_logprobs for each in alone.output[0].content[0].logprobs)
    plain = client.responses.create(model="acme", input="Hello", max_output_tokens=20, temperature=0)
    assert plain.output[0].content[0].logprobs == []
    with client.responses.stream(**asked) as stream:
        final = stream.get_final_response()
    assert facts(final.output[0].content[0].logprobs) == expected
    with pytest.raises(openai.BadRequestError, match=r"message\.output_text\.logprobs") as wrong:
        client.responses.create(model="acme", input="Hello", top_logprobs=3)
    assert wrong.value.param == "top_logprobs"
    with pytest.raises(openai.BadRequestError, match="top_logprobs"):
        client.responses.create(model="acme", input="Hello", include=INCLUDE, top_logprobs=21)


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_say_no_more_than_guards_let_out(face: Face, guarded: Guarded, stream: bool) -> None:
    """Where guards look at answers, tokens are told at the end, and only of an answer that went out as it was."""
    client = face.openai()
    asked: dict[str, Any] = {
        "model": "acme",
        "input": "Speak",
        "include": INCLUDE,
        "stream": stream,
        "max_output_tokens": 200,
    }

    def of_parts(response: Any) -> list[Any]:
        return [token for part in response.output[0].content for token in getattr(part, "logprobs", None) or ()]

    def tokens(one: Any, **more: Any) -> tuple[list[Any], Any]:
        """Everything that is told of tokens, and the response."""
        said = one.responses.create(**asked, **more)
        if not stream:
            return of_parts(said), said
        events = list(said)
        told = [token for event in events for token in getattr(event, "logprobs", None) or ()]
        final = events[-1].response
        # In the deltas, in the text that is done, and in the response: always the same.
        assert facts(told) == facts(of_parts(final)) * 2
        return told[: len(told) // 2], final

    text = "A long way to the sea and back again, and nobody knows why it is so long."
    told, response = tokens(client, text=says(text))
    assert spelled(told) == response.output_text == json.dumps(text)
    told, response = tokens(client, text=says(f"Look into {FORBIDDEN}, please."))
    assert (told, response.status) == ([], "incomplete")
    told, response = tokens(guarded.openai(), text=says(f"Write to {MAIL}, please."))
    assert (told, response.output_text) == ([], '"Write to [EMAIL], please."')


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("length", [8, 60, 100, 200])
def test_the_tokens_of_a_call_are_none_of_a_text(house: House, stream: bool, length: int) -> None:
    """A call that was cut off is a text; so is what began after a whole one, and the tokens of that one are not its."""
    client = house.openai()
    asked: dict[str, Any] = {"model": "acme", "input": "How many?", "include": INCLUDE, "tools": [TOOL]}
    asked |= {"tool_choice": "required", "max_output_tokens": length}
    for _ in range(10):  # how long the call becomes is left to chance
        said = client.responses.create(**asked, stream=stream)
        response = list(said)[-1].response if stream else said
        kinds = [item.type for item in response.output]
        if length < 200 or "function_call" in kinds:
            break
    assert kinds == ["message"] if length == 8 else "function_call" in kinds or length < 200
    for number, item in enumerate(response.output):
        if item.type == "message":
            tokens = item.content[0].logprobs
            assert spelled(tokens) == ("" if number else item.content[0].text)
            assert number or tokens


def test_an_answer_that_could_have_called_tells_all_its_tokens(house: House) -> None:
    asked: dict[str, Any] = {"model": "acme", "input": "How many?", "include": INCLUDE, "temperature": 0}
    client = house.openai()
    whole = client.responses.create(**asked, tools=[TOOL], max_output_tokens=20)
    events = list(client.responses.create(**asked, tools=[TOOL], max_output_tokens=20, stream=True))
    expected = facts(whole.output[0].content[0].logprobs)
    assert len(expected) == 20
    told = [token for event in events if event.type == "response.output_text.delta" for token in event.logprobs]
    assert facts(told) == expected


def test_a_function_is_called_and_its_result_is_heard(face: Face) -> None:
    client = face.openai()
    conversation: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": "How many OF-12?"}]}]
    asked: Any = {
        "model": "acme",
        "tools": [TOOL],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_output_tokens": 300,
    }
    for _ in range(10):  # how long the call becomes is left to chance
        with client.responses.stream(**asked, input=conversation) as stream:
            events = list(stream)
            final = stream.get_final_response()
        (call,) = final.output
        if call.type == "function_call":
            break
    assert call.type == "function_call"
    assert json.loads(call.arguments)["part"] in ("OF-12", "OF-13")
    assert "response.function_call_arguments.delta" in typed(events)
    (done,) = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert done.arguments == call.arguments
    conversation += [*final.output, {"type": "function_call_output", "call_id": call.call_id, "output": "3"}]
    after = client.responses.create(model="acme", input=conversation, temperature=0)
    assert after.output[0].type == "message"
    named = {"type": "function", "name": "stock"}
    for _ in range(10):
        (again,) = client.responses.create(**{**asked, "tool_choice": named}, input="How many?").output
        if again.type == "function_call":
            break
    assert again.name == "stock"
    spoken = client.responses.create(model="acme", tools=[TOOL], tool_choice="none", input="How many?", temperature=0)
    assert [item.type for item in spoken.output] == ["message"]


def test_marks_in_an_answer_lead_to_the_document(face: Face) -> None:
    client = face.openai()
    asked: Any = {
        "model": "acme",
        "input": "Where is the filter of the pump?",
        "text": says("Behind the panel [1], not [7]."),
    }
    whole = client.responses.create(**asked)
    (annotation,) = whole.output[0].content[0].annotations
    assert (annotation.type, annotation.filename) == ("file_citation", "pump.md")
    assert whole.output_text[annotation.index :].startswith("[1]")
    (source,) = whole.sources
    assert (source["number"], source["path"], source["end"] - source["start"]) == (1, "pump.md", len(PUMP))
    assert whole.unknown == [7]
    events = list(client.responses.create(**asked, stream=True))
    (added,) = [event for event in events if event.type == "response.output_text.annotation.added"]
    assert added.annotation.file_id == annotation.file_id
    assert events[-1].response.sources == whole.sources
    assert not hasattr(client.responses.create(model="acme", input="Hello"), "sources")


def test_a_guard_ends_an_answer_with_its_policy(face: Face) -> None:
    client = face.openai()
    asked: Any = {"model": "acme", "input": "Speak", "text": says(f"Look into {FORBIDDEN}, please.")}
    whole = client.responses.create(**asked)
    assert (whole.status, whole.incomplete_details.reason) == ("incomplete", "content_filter")
    assert FORBIDDEN not in whole.output_text
    assert whole.output[0].content[-1].refusal == STATED
    events = list(client.responses.create(**asked, stream=True))
    assert {"response.refusal.delta", "response.refusal.done"} <= set(typed(events))
    assert events[-1].type == "response.incomplete"
    last = events[-1].response.output[0].content[-1]
    assert last.refusal == STATED
    assert events[-1].response.output_text == whole.output_text
    with pytest.raises(openai.BadRequestError, match="red folder") as refused:
        client.responses.create(model="acme", input=[{"role": "user", "content": f"What of {FORBIDDEN}?"}])
    assert refused.value.code == "content_filter"


def test_what_would_need_a_memory_is_refused(face: Face) -> None:
    client = face.openai()
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        client.responses.create(model="acme", input="Go on", previous_response_id="resp_1")
    with pytest.raises(openai.BadRequestError, match="store"):
        client.responses.create(model="acme", input="Hello", store=True)
    with pytest.raises(openai.BadRequestError, match=r"input\.0") as wrong:
        client.responses.create(model="acme", input=[{"type": "item_reference", "id": "msg_1"}])
    assert wrong.value.param == "input.0"
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="nothing", input="Hello")
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_1")


def body(*items: dict[str, Any], **more: Any) -> ResponsesRequest:
    return ResponsesRequest(model="acme", input=items, **more)


def test_items_are_the_turns_of_a_chat() -> None:
    call = {"type": "function_call", "call_id": "c-1", "name": "stock", "arguments": "{}", "id": "fc_1", "status": "x"}
    second = {**call, "call_id": "c-2"}
    said = {"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "How "}, {"type": "input_text", "text": "many?"}]},
        {"type": "message", "role": "assistant", "content": [said], "id": "msg_1", "status": "completed"},
        call,
        second,
        {"type": "function_call_output", "call_id": "c-1", "output": "3"},
        {"type": "function_call_output", "call_id": "c-2", "output": [{"type": "input_text", "text": "4"}]},
    ]
    system, user, assistant, first, other = messages_of(body(*items, instructions="Be brief."))
    assert system == {"role": "system", "content": "Be brief."}
    assert [part["text"] for part in user["content"]] == ["How ", "many?"]
    assert [each["id"] for each in assistant["tool_calls"]] == ["c-1", "c-2"]
    assert assistant["content"] == [{"type": "text", "text": "I look."}]
    assert (first["tool_call_id"], first["content"], other["content"]) == ("c-1", "3", [{"type": "text", "text": "4"}])


@pytest.mark.parametrize(
    ("item", "place"),
    [
        ({"type": "reasoning", "summary": []}, "input.0"),
        ({"type": ["message"]}, "input.0"),
        ({"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}, "input.0.content"),
        ({"role": "wizard", "content": "x"}, "input.0.role"),
        ({"role": "user", "content": "x", "colour": "red"}, "input.0.colour"),
        ({"type": "function_call", "name": "stock", "arguments": "{}"}, "input.0.call_id"),
    ],
)
def test_an_item_that_is_wrong_is_named(item: dict[str, Any], place: str) -> None:
    with pytest.raises(Problem) as wrong:
        messages_of(body(item))
    assert wrong.value.status == 400
    assert (wrong.value.param or "").startswith(place)
