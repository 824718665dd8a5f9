"""The forms in which people keep conversations, and the one that we make of them.

| form | keys | becomes |
|---|---|---|
| messages | `messages` | itself |
| prompt and completion | `prompt`, `completion` | a user's turn and the assistant's, if they are texts; if they are |
| | | lists of messages, one conversation, of which the completion is learnt |
| Alpaca | `instruction`, `input`, `output` | the user's turn, with the input after a blank line, and the assistant's |
| ShareGPT | `conversations` of `from` and `value` | one message a turn |

All may have `tools`, `system` (but for messages), `id`, `labels` and `metadata`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from loresmith.data.messages import (
    BadRecordError,
    Conversation,
    call_of,
    checked_message,
    checked_messages,
    checked_tools,
    parsed,
    require_something_to_learn,
    text_of,
)
from loresmith.data.readers.complaint import InOwnWordsError, complaint, unknown
from loresmith.nearest import nearest

_COMMON = ("tools", "id", "labels", "metadata")
_FORMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "messages": (("messages",), ()),
    "prompt and completion": (("prompt", "completion"), ("system",)),
    "Alpaca": (("instruction", "output"), ("input", "system")),
    "ShareGPT": (("conversations",), ("system",)),
}
"""By name, the keys that a record of this form has, and those that it may have."""

_SPEAKERS = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}
_TURN_KEYS = ("from", "value", "weight")


def parse_record(line: bytes, metadata_fields: Collection[str] = ()) -> Conversation:
    """The conversation on a line of JSON.

    Args:
        line: UTF-8.
        metadata_fields: further keys that records may have, which become metadata.

    Raises:
        BadRecordError: saying what is wrong with it.
    """
    record = _loaded(line)
    form = _form_of(record, metadata_fields)
    known = [key for keys in _FORMS[form] for key in keys] + list(_COMMON)
    for key in record:
        if key not in known and key not in metadata_fields:
            raise BadRecordError("unknown key", _unknown_key(record, key, known))
    conversation = Conversation(
        messages=_messages(form, record),
        tools=checked_tools(record.get("tools")),
        labels=_labels(record.get("labels")),
        metadata=_metadata(record, metadata_fields),
    )
    require_something_to_learn(conversation.messages, "conversations" if form == "ShareGPT" else "messages")
    try:
        conversation.content().encode()
    except UnicodeEncodeError:
        raise BadRecordError("undecodable", "half of a surrogate pair") from None
    return conversation


def _unknown_key(record: Mapping[str, Any], key: str, known: Collection[str]) -> str:
    """What a key is called is said if it is nearly a known one: else it may be what the record is about."""
    said = unknown("key", key, known)
    if nearest(key, known):
        return said
    number = list(record).index(key) + 1
    return f"{said}; it is key {number} of the record. To keep it as metadata, name it in metadata_fields"


def _loaded(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line.decode(), parse_constant=_no_constant, object_pairs_hook=_without_repetition)
    except UnicodeDecodeError as error:
        raise BadRecordError("undecodable", f"utf-8: {error.reason} (byte {error.start})") from None
    except (ValueError, RecursionError) as error:
        raise BadRecordError("not JSON", complaint(error)) from None
    if not isinstance(record, dict):
        raise BadRecordError("not a JSON object", f"a {type(record).__name__}; a record is one object on one line")
    return record


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        again = next(number for number, key in enumerate(keys, start=1) if key in keys[: number - 1])
        raise InOwnWordsError(f"key {again} of an object stands in it before")
    return found


def _no_constant(name: str) -> NoReturn:
    raise InOwnWordsError(f"{name} is not JSON")


def _form_of(record: Mapping[str, Any], metadata_fields: Collection[str]) -> str:
    for form, (needed, _) in _FORMS.items():
        if all(key in record and key not in metadata_fields for key in needed):
            return form
    known = {*_COMMON, *(key for needed, allowed in _FORMS.values() for key in (*needed, *allowed))}
    for key in record:
        if key not in known and key not in metadata_fields and nearest(key, known):
            raise BadRecordError("unknown key", unknown("key", key, known))
    forms = "; ".join(f"{form}: {', '.join(needed)}" for form, (needed, _) in _FORMS.items())
    raise BadRecordError("no conversation", f"its {len(record)} keys are those of no form ({forms})")


def _messages(form: str, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    if form == "messages":
        return checked_messages(record["messages"])
    system = text_of(record.get("system"), "system")
    told = [{"role": "system", "content": system}] if system else []
    if form == "Alpaca":
        asked = text_of(record["instruction"], "instruction")
        given = text_of(record.get("input"), "input")
        question = f"{asked}\n\n{given}" if given else asked
        return [*told, *_pair(question, text_of(record["output"], "output"))]
    if form == "ShareGPT":
        return [*told, *_turns(record["conversations"])]
    return [*told, *_prompt_and_completion(record["prompt"], record["completion"])]


def _pair(question: str, answer: str) -> list[dict[str, Any]]:
    if not answer.strip():
        raise BadRecordError("empty completion", "the completion is empty")
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _prompt_and_completion(prompt: Any, completion: Any) -> list[dict[str, Any]]:
    if isinstance(prompt, str) and isinstance(completion, str):
        return _pair(text_of(prompt, "prompt"), text_of(completion, "completion"))
    if isinstance(prompt, str) or isinstance(completion, str):
        raise BadRecordError("wrong type", "prompt and completion: one is text and the other is not")
    shown = [
        {**message, "weight": 0} if message["role"] == "assistant" else message
        for message in checked_messages(prompt, "prompt")
    ]
    learnt = checked_messages(completion, "completion")
    if not learnt:
        raise BadRecordError("empty completion", "completion: no message")
    return [*shown, *learnt]


def _turns(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise BadRecordError("wrong type", "conversations: should be a list of turns")
    return [_turn(turn, f"conversations[{number}]") for number, turn in enumerate(value)]


def _turn(turn: Any, where: str) -> dict[str, Any]:
    if not isinstance(turn, dict):
        raise BadRecordError("wrong type", f"{where}: should be a mapping with from and value")
    for key in turn:
        if key not in _TURN_KEYS:
            raise BadRecordError("unknown key", unknown("key", key, _TURN_KEYS, where))
    speaker, value = turn.get("from"), turn.get("value")
    if not isinstance(speaker, str) or speaker not in _SPEAKERS:
        raise BadRecordError("unknown role", f"{where}.from: {unknown('role', str(speaker), _SPEAKERS)}")
    role = _SPEAKERS[speaker]
    if not isinstance(value, str):
        raise BadRecordError("wrong type", f"{where}.value: should be text")
    message: dict[str, Any] = {"role": role, "content": value}
    if speaker == "function_call":
        message = {"role": role, "content": "", "tool_calls": _written_calls(value, f"{where}.value")}
    if "weight" in turn:
        message["weight"] = turn["weight"]
    return checked_message(message, where)


def _written_calls(text: str, where: str) -> list[dict[str, Any]]:
    calls = parsed(text, where)
    return [call_of(call, where) for call in (calls if isinstance(calls, list) else [calls])]


def _labels(value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(label, str) and label for label in value):
        raise BadRecordError("wrong type", "labels: should be a list of words")
    return sorted(set(value))


def _metadata(record: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    own = record.get("metadata")
    if own is not None and not isinstance(own, dict):
        raise BadRecordError("wrong type", "metadata: should be a mapping")
    named = {"id": record["id"]} if "id" in record else {}
    return {**named, **(own or {}), **{key: record[key] for key in fields if key in record}}
