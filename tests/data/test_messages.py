"""Every record becomes a conversation in one form, or is refused with what is wrong and where."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loresmith.data.messages import BadRecordError, Conversation
from loresmith.data.messages_shapes import parse_record

ASK, ANSWER = {"role": "user", "content": "Where?"}, {"role": "assistant", "content": "There."}
CALL = {"type": "function", "id": "c1", "function": {"name": "stock", "arguments": '{"z": 1, "a": [1.0, "ü"]}'}}
PARTS = [{"type": "text", "text": "Whe"}, {"type": "text", "text": "re?"}]
TURNS = [{"from": "human", "value": "Where?"}, {"from": "gpt", "value": "There."}]


def parsed(record: Any, *metadata_fields: str) -> Conversation:
    return parse_record(json.dumps(record).encode(), metadata_fields)


def refusal(record: Any) -> tuple[str, str]:
    with pytest.raises(BadRecordError) as refused:
        parse_record(record if isinstance(record, bytes) else json.dumps(record).encode())
    return refused.value.reason, str(refused.value)


@pytest.mark.parametrize(
    "record",
    [
        {"messages": [ASK, ANSWER]},
        {"prompt": "Where?", "completion": "There."},
        {"prompt": [ASK], "completion": [ANSWER]},
        {"instruction": "Where?", "input": "", "output": "There."},
        {"instruction": "Where?", "output": "There."},
        {"conversations": TURNS},
        {"messages": [{"role": "user", "content": PARTS}, ANSWER]},
        {"messages": [{**ASK, "name": "Ada"}, {**ANSWER, "tool_calls": None, "weight": 1}], "tools": None},
    ],
)
def test_all_forms_of_a_question_and_its_answer_are_one(record: dict[str, Any]) -> None:
    assert parsed(record).messages == [ASK, ANSWER]


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "Where?", "completion": "There.", "system": "Be brief."},
        {"instruction": "Where?", "output": "There.", "system": "Be brief."},
        {"conversations": TURNS, "system": "Be brief."},
        {"messages": [{"role": "developer", "content": "Be brief."}, ASK, ANSWER]},
    ],
)
def test_a_system_prompt_comes_first_in_all_forms(record: dict[str, Any]) -> None:
    assert parsed(record).messages == [{"role": "system", "content": "Be brief."}, ASK, ANSWER]


def test_an_input_follows_its_instruction_after_a_blank_line() -> None:
    record = {"instruction": "Translate.", "input": "Straße", "output": "street"}
    assert parsed(record).messages[0]["content"] == "Translate.\n\nStraße"


def test_of_prompt_and_completion_the_prompt_is_not_learnt() -> None:
    found = parsed({"prompt": [ASK, ANSWER, ASK], "completion": [ANSWER]}).messages
    assert [message.get("weight", 1) for message in found] == [1, 0, 1, 1]


def test_calls_of_functions_are_one_form_and_keep_the_order_of_their_arguments() -> None:
    bare = {"name": "stock", "arguments": {"z": 1, "a": [1.0, "ü"]}}
    records = [
        {"messages": [ASK, {"role": "assistant", "content": None, "tool_calls": [CALL]}]},
        {"messages": [ASK, {"role": "assistant", "tool_calls": [{"id": "c1", **bare}]}]},
    ]
    (first,), (second,) = (parsed(record).messages[1]["tool_calls"] for record in records)
    assert first == second == {"type": "function", "id": "c1", "function": bare}
    assert list(first["function"]["arguments"]) == ["z", "a"]
    turns = [
        {"from": "human", "value": "Where?"},
        {"from": "function_call", "value": json.dumps(bare)},
        {"from": "observation", "value": "3"},
        {"from": "gpt", "value": "Three."},
    ]
    found = parsed({"conversations": turns, "tools": json.dumps([{"name": "stock"}])})
    assert [message["role"] for message in found.messages] == ["user", "assistant", "tool", "assistant"]
    assert found.messages[1]["tool_calls"][0]["function"] == bare
    assert found.tools == [{"name": "stock"}]


def test_what_else_a_record_says_is_kept() -> None:
    record = {"messages": [ASK, ANSWER], "id": 7, "metadata": {"by": "Ada"}, "labels": ["b", "a", "b"], "source": "x"}
    found = parsed(record, "source")
    assert found.metadata == {"id": 7, "by": "Ada", "source": "x"}
    assert found.labels == ["a", "b"]


def test_equal_conversations_have_equal_content_and_others_do_not() -> None:
    plain = parsed({"messages": [ASK, ANSWER]})
    assert plain.content() == parsed({"prompt": "Where?", "completion": "There.", "id": 3}).content()
    assert plain.content() != parsed({"messages": [ASK, ANSWER], "tools": [{"name": "f"}]}).content()
    assert plain.content() != parsed({"messages": [{**ASK, "role": "system"}, ANSWER]}).content()


IMAGE = {"type": "image_url", "image_url": {"url": "data:..."}}
AUDIO = {"type": "input_audio", "input_audio": {}}


def talk(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"messages": list(messages), **more}


def shared(speaker: str, value: Any) -> dict[str, Any]:
    return {"conversations": [{"from": speaker, "value": value}]}


def calling(call: Any) -> dict[str, Any]:
    return talk(ASK, {**ANSWER, "tool_calls": [call]})


def saying(role: Any, content: Any) -> dict[str, Any]:
    return talk(ASK, {"role": role, "content": content})


@pytest.mark.parametrize(
    ("record", "reason", "detail"),
    [
        (b"{", "not JSON", "Expecting property name"),
        (b"[1]", "not a JSON object", "a list"),
        (b'{"messages": NaN}', "not JSON", "NaN is not JSON"),
        (b'{"messages": [], "messages": []}', "not JSON", "key 2 of an object stands in it before"),
        (b"\xff", "undecodable", "utf-8"),
        (b'{"prompt": "\\ud83d", "completion": "b"}', "undecodable", "half of a surrogate pair"),
        (b"[" * 100_000, "not JSON", "nested too deeply"),
        ({"mesages": [ASK, ANSWER]}, "unknown key", "unknown key 'mesages'; did you mean 'messages'?"),
        (talk(ASK, ANSWER, tool=[]), "unknown key", "unknown key 'tool'; did you mean 'tools'?"),
        (
            talk(ASK, ANSWER, url=""),
            "unknown key",
            "key 2 of the record. To keep it as metadata, name it in metadata_fields",
        ),
        (talk({**ASK, "contents": ""}), "unknown key", "'contents' in messages[0]; did you mean 'content'?"),
        ({"text": "Once"}, "no conversation", "its 1 keys are those of no form (messages: messages;"),
        ({"prompt": "Where?"}, "no conversation", "prompt and completion: prompt, completion"),
        ({}, "no conversation", "its 0 keys are"),
        (talk(ASK), "no assistant turn", "messages: no assistant turn to learn from"),
        (talk(), "no assistant turn", "messages: no assistant turn"),
        (talk(ASK, {**ANSWER, "weight": 0}), "no assistant turn", "every assistant turn has a weight of 0"),
        (shared("human", "a"), "no assistant turn", "conversations: no assistant"),
        (saying("assistant", " \n"), "empty completion", "messages[1]"),
        (saying("assistant", None), "empty completion", "messages[1]"),
        ({"prompt": "a", "completion": ""}, "empty completion", "the completion is empty"),
        ({"prompt": [ASK], "completion": []}, "empty completion", "completion: no message"),
        ({"instruction": "a", "output": " "}, "empty completion", "the completion is empty"),
        (
            saying("asistant", "a"),
            "unknown role",
            "messages[1].role: unknown role 'asistant'; did you mean 'assistant'?",
        ),
        (saying(None, "a"), "unknown role", "messages[1].role: unknown role; known: assistant"),
        (shared("bot", "a"), "unknown role", "conversations[0].from: unknown role; known:"),
        (saying("user", [IMAGE]), "not text", "messages[1].content[0]: a part that is no text"),
        (saying("user", [AUDIO]), "not text", "a part that is no text"),
        ({"messages": "Where?"}, "wrong type", "messages: should be a list of messages, got text"),
        (talk("Where?"), "wrong type", "messages[0]: should be a mapping"),
        (saying("user", 3), "wrong type", "messages[1].content: should be text, got a number"),
        (saying("user", None), "wrong type", "messages[1]: no content"),
        (talk(ASK, {**ANSWER, "weight": 0.5}), "wrong type", "messages[1].weight: should be 0 or 1"),
        (talk({**ASK, "tool_calls": [CALL]}), "wrong type", "messages[0].tool_calls: a user message has none"),
        (calling({"name": "f", "arguments": "{"}), "not JSON", "messages[1].tool_calls[0].arguments"),
        (calling({"name": "f", "arguments": "3"}), "wrong type", "should be a JSON object, got a number"),
        (calling({"arguments": {}}), "wrong type", "should be a call with a name"),
        (
            talk(*calling(CALL)["messages"], {"role": "tool", "content": "3", "tool_call_id": "c2"}),
            "answer to no call",
            "messages[2].tool_call_id: it is the id of no call before it",
        ),
        (talk(ASK, ANSWER, tools=[{"type": "function"}]), "wrong type", "tools[0]: should be the schema of a function"),
        (talk(ASK, ANSWER, tools="{"), "not JSON", "tools"),
        ({"prompt": "a", "completion": [ANSWER]}, "wrong type", "one is text and the other is not"),
        (talk(ASK, ANSWER, labels="secret"), "wrong type", "labels: should be a list of words"),
        (talk(ASK, ANSWER, metadata=1), "wrong type", "metadata: should be a mapping"),
        (shared("gpt", None), "wrong type", "conversations[0].value: should be text"),
    ],
)
def test_what_cannot_be_learnt_from_is_named(record: Any, reason: str, detail: str) -> None:
    found = refusal(record)
    assert found[0] == reason
    assert detail in found[1]
