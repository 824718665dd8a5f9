"""Conversations to learn from, checked and in one form.

A message has a `role` and a `content`, which is text, and what its role may have besides: an assistant's
`tool_calls`, `reasoning_content` and `weight` (0: it is shown and not learnt), a tool's `tool_call_id` and `name`.
Keys stand in one order and those without a value are left out, so that equal conversations are equal text; what is
inside the arguments of a call or the schema of a tool stays in the order in which it was written, since a model learns
that order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loresmith.data.readers.complaint import complaint, kind_of, unknown
from loresmith.models.chat_template import ROLES

MESSAGE_KEYS = ("role", "content", "reasoning_content", "tool_calls", "tool_call_id", "name", "weight")

_ROLE_NAMES = {**{role: role for role in ROLES}, "developer": "system"}
_MEDIA = ("image", "audio", "video", "file")


class BadRecordError(Exception):
    """A record that is no conversation to learn from.

    Args:
        reason: one of a few, for the books.
        detail: what is wrong, and where in the record.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class Conversation:
    """One record of a dataset.

    Attributes:
        messages: in the form that this file describes.
        tools: JSON schemas of the functions that the assistant may call.
        labels: access labels of this record alone.
        metadata: what else the record says.
    """

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()
    labels: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def content(self) -> str:
        """What the model would see, as text: equal for conversations of which nobody could tell two apart."""
        shown = [{key: value for key, value in message.items() if key != "weight"} for message in self.messages]
        return json_text([shown, list(self.tools)])


def json_text(value: Any) -> str:
    """JSON without white space, keys in the order that they have."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def checked_messages(value: Any, where: str = "messages") -> list[dict[str, Any]]:
    """Messages in the form that this file describes.

    Args:
        value: as the record has it.
        where: what to call it in messages.

    Raises:
        BadRecordError: naming the message and key that is wrong.
    """
    if not isinstance(value, list):
        raise BadRecordError("wrong type", f"{where}: should be a list of messages, got {kind_of(value)}")
    return [checked_message(message, f"{where}[{number}]") for number, message in enumerate(value)]


def require_something_to_learn(messages: Sequence[Mapping[str, Any]], where: str = "messages") -> None:
    """Raise BadRecordError for a conversation in which no assistant says anything that counts, or one says nothing."""
    learnt = False
    call_ids: list[str] = []
    for number, message in enumerate(messages):
        if message["role"] == "assistant":
            if not (message["content"].strip() or message.get("tool_calls")):
                raise BadRecordError("empty completion", f"{where}[{number}]: the assistant says nothing")
            learnt = learnt or message.get("weight", 1) != 0
            call_ids += [call["id"] for call in message.get("tool_calls", ()) if "id" in call]
        answered = message.get("tool_call_id")
        if answered is not None and answered not in call_ids:
            said = "it is the id of no call before it"
            raise BadRecordError("answer to no call", f"{where}[{number}].tool_call_id: {said}")
    if not learnt:
        weightless = any(message["role"] == "assistant" for message in messages)
        raise BadRecordError(
            "no assistant turn",
            f"{where}: {'every assistant turn has a weight of 0' if weightless else 'no assistant turn to learn from'}",
        )


def checked_tools(value: Any, where: str = "tools") -> list[Mapping[str, Any]]:
    """The schemas of tools; also such as are written as a text of JSON.

    Raises:
        BadRecordError: naming the tool that is wrong.
    """
    value = parsed(value, where) if isinstance(value, str) and value.strip() else value
    if value in (None, ""):
        return []
    if not isinstance(value, list):
        raise BadRecordError("wrong type", f"{where}: should be a list of JSON schemas, got {kind_of(value)}")
    for number, tool in enumerate(value):
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise BadRecordError("wrong type", f"{where}[{number}]: should be the schema of a function with a name")
    return value


def text_of(value: Any, where: str) -> str:
    """Text, or text in parts; nothing is an empty text.

    Raises:
        BadRecordError: it is something else, such as an image.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_part(part, f"{where}[{number}]") for number, part in enumerate(value))
    raise BadRecordError("wrong type", f"{where}: should be text, got {kind_of(value)}")


def _part(part: Any, where: str) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str):
        raise BadRecordError("wrong type", f"{where}: should be a part with a type, got {kind_of(part)}")
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if any(medium in kind for medium in _MEDIA):
        raise BadRecordError("not text", f"{where}: a part that is no text, and this is for models of text")
    raise BadRecordError("wrong type", f"{where}: {unknown('type', kind, ['text'])}")


def checked_message(message: Any, where: str) -> dict[str, Any]:
    """One message; as `checked_messages`."""
    if not isinstance(message, dict):
        raise BadRecordError(
            "wrong type", f"{where}: should be a mapping with role and content, got {kind_of(message)}"
        )
    for key in message:
        if key not in MESSAGE_KEYS:
            raise BadRecordError("unknown key", unknown("key", key, MESSAGE_KEYS, where))
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLE_NAMES:
        raise BadRecordError("unknown role", f"{where}.role: {unknown('role', str(role), _ROLE_NAMES)}")
    role = _ROLE_NAMES[role]
    if message.get("content") is None and not message.get("tool_calls"):
        raise BadRecordError("empty completion" if role == "assistant" else "wrong type", f"{where}: no content")
    found: dict[str, Any] = {"role": role, "content": text_of(message.get("content"), f"{where}.content")}
    reads = {"assistant": ("reasoning_content", "tool_calls", "weight"), "tool": ("tool_call_id", "name")}
    for key in MESSAGE_KEYS[2:]:
        value = message.get(key)
        if value is None or value == []:
            continue
        if key == "name" and role != "tool" and isinstance(value, str):
            continue  # who among several users speaks; no template tells
        if key not in reads.get(role, ()):
            raise BadRecordError("wrong type", f"{where}.{key}: a {role} message has none")
        if key == "tool_calls":
            found[key] = _calls(value, f"{where}.{key}")
        elif key == "weight":
            found |= _weight(value, f"{where}.{key}")
        else:
            found[key] = text_of(value, f"{where}.{key}")
    return found


def _weight(value: Any, where: str) -> dict[str, int]:
    if isinstance(value, bool) or value not in (0, 1):
        raise BadRecordError("wrong type", f"{where}: should be 0 or 1, got {kind_of(value)}")
    return {} if value == 1 else {"weight": 0}


def _calls(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise BadRecordError("wrong type", f"{where}: should be a list of calls, got {kind_of(value)}")
    return [call_of(call, f"{where}[{number}]") for number, call in enumerate(value)]


def call_of(call: Any, where: str) -> dict[str, Any]:
    """A call of a function, from OpenAI's form or from a bare name and arguments.

    Raises:
        BadRecordError: it has no name, or its arguments are no JSON object.
    """
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadRecordError("wrong type", f"{where}: should be a call with a name and arguments, got {kind_of(call)}")
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        arguments = parsed(arguments, f"{where}.arguments") if arguments.strip() else {}
    if not isinstance(arguments, dict):
        raise BadRecordError("wrong type", f"{where}.arguments: should be a JSON object, got {kind_of(arguments)}")
    named = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
    return {"type": "function", **named, "function": {"name": function["name"], "arguments": arguments}}


def parsed(text: str, where: str) -> Any:
    """JSON that a record holds as text.

    Raises:
        BadRecordError: it is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRecordError("not JSON", f"{where}: {complaint(error)}") from None
