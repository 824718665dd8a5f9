"""`/v1/responses`, asked by the official client over HTTP."""

from __future__ import annotations

import json
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from loresmith.serving.gateway.problem import Problem
from loresmith.serving.gateway.responses_input import messages_of
from loresmith.serving.gateway.shapes import ResponsesRequest
from tests.serving.gateway.faces import FORBIDDEN, PUMP, STATED, Face

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


def test_a_stream_ends_in_a_parsed_answer(face: Face) -> None:
    client = face.openai()
    with client.responses.stream(model="acme", input="Which part?", text_format=Part, max_output_tokens=200) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[-1] == "response.completed"
    assert isinstance(final.output_parsed, Part)
    assert final.output_parsed == Part.model_validate_json(final.output_text)
    parsed = client.responses.parse(model="acme", input="Which part?", text_format=Part, max_output_tokens=200)
    assert isinstance(parsed.output_parsed, Part)
    assert parsed.text.format.type == "json_schema"


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
    with client.responses.stream(**asked, input=conversation) as stream:
        events = list(stream)
        final = stream.get_final_response()
    (call,) = final.output
    assert call.type == "function_call"
    assert json.loads(call.arguments)["part"] in ("OF-12", "OF-13")
    assert "response.function_call_arguments.delta" in typed(events)
    (done,) = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert done.arguments == call.arguments
    conversation += [*final.output, {"type": "function_call_output", "call_id": call.call_id, "output": "3"}]
    after = client.responses.create(model="acme", input=conversation)
    assert after.output[0].type == "message"
    named = {"type": "function", "name": "stock"}
    again = client.responses.create(**{**asked, "tool_choice": named}, input="How many?")
    assert {item.name for item in again.output} == {"stock"}
    spoken = client.responses.create(model="acme", tools=[TOOL], tool_choice="none", input="How many?")
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
