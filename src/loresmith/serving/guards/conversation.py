"""Every piece of text in a request: what all roles say, in all parts, names, tool calls and declarations of tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loresmith.serving.guards.settings import Where
from loresmith.serving.message_parts import MEDIA_PARTS, kind_of_part, text_of_part

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_PROTOCOL_KEYS = """
    role type content name tool_calls tool_call_id function function_call arguments id index call_id text refusal output
    image_url input_audio audio file url detail data format status summary annotations strict description parameters
    properties required enum items additionalProperties title default anyOf oneOf allOf
"""
_PROTOCOL = frozenset(_PROTOCOL_KEYS.split())
"""Keys that are words of the protocol; all others a caller chose."""


@dataclass(frozen=True)
class Said:
    """A piece of text.

    Attributes:
        where: what it is.
        role: whose it is.
        text: the text.
        put: puts another text in its place.
    """

    where: Where
    role: str
    text: str
    put: Callable[[str], None]


class Conversation:
    """A copy of a request's messages and tools, in which texts can be replaced.

    Attributes:
        messages, tools: the copies.
    """

    def __init__(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> None:
        self.messages: list[dict[str, Any]] = _copy(messages)
        self.tools: list[dict[str, Any]] = _copy(tools)

    def said(self) -> Iterator[Said]:
        """Every text in it: each string once, also keys that a caller chose."""
        for message in self.messages:
            role = str(message.get("role", ""))
            yield from _strings(message, where_of(role), role)
        for tool in self.tools:
            yield from _strings(tool, "input", "tools")

    def joined(self) -> Iterator[tuple[Where, str, str]]:
        """Of each message whose text has several parts: what it is, whose, and all parts as one text, in two ways."""
        for message in self.messages:
            content = message.get("content")
            if isinstance(content, list):
                texts = [text for part in content if (text := text_of_part(part)) is not None]
                if len(texts) > 1:
                    role = str(message.get("role", ""))
                    yield where_of(role), role, "".join(texts)
                    yield where_of(role), role, " ".join(text.strip() for text in texts)

    def media(self) -> Iterator[tuple[Where, str, str]]:
        """What no guard can read: where it is, whose, and its type."""
        for message in self.messages:
            content = message.get("content")
            for part in content if isinstance(content, list) else ():
                if isinstance(part, dict) and MEDIA_PARTS & {kind_of_part(part), *part}:
                    role = str(message.get("role", ""))
                    yield where_of(role), role, kind_of_part(part)


def _copy(value: Any) -> Any:
    """A copy in dicts and lists alone: what came as a tuple or another mapping is not passed over."""
    if isinstance(value, Mapping):
        return {key: _copy(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_copy(part) for part in value]
    return value


def where_of(role: str) -> Where:
    """What the words of a role are: what tools gave, or input."""
    return "tool" if role in ("tool", "function", "function_call_output") else "input"


def _strings(node: dict[str, Any] | list[Any], where: Where, role: str) -> Iterator[Said]:
    """Every string in plain data; those that are put in place of keys keep their order."""
    entries: list[tuple[Any, Any]] = list(node.items()) if isinstance(node, dict) else list(enumerate(node))
    for key, value in entries:
        if isinstance(value, str):
            if key != "role" or value not in _ROLES:
                yield Said(where, role, value, _putter(node, key))
        elif isinstance(value, dict | list):
            yield from _strings(value, where, role)
        if isinstance(node, dict) and key not in _PROTOCOL:
            yield Said(where, role, key, _renamer(node, key))


def _putter(node: Any, key: Any) -> Callable[[str], None]:
    def put(text: str) -> None:
        node[key] = text

    return put


def _renamer(node: dict[str, Any], key: str) -> Callable[[str], None]:
    def rename(text: str) -> None:
        renamed = {text if name == key else name: value for name, value in node.items()}
        node.clear()
        node.update(renamed)

    return rename
