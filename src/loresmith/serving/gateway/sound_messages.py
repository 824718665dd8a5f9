"""Whether the parts and calls of messages are what parts and calls are, looked at before anything reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from loresmith.serving.gateway.problem import Problem
from loresmith.serving.message_parts import MEDIA_PARTS, TEXT_PARTS, kind_of_part, text_of_part


def require_sound(messages: Iterable[Mapping[str, Any]]) -> None:
    """See that what stands in messages in OpenAI's form can be read, or is known for what it is.

    Raises:
        Problem: naming the place that is wrong.
    """
    for number, message in enumerate(messages):
        content = message.get("content")
        for at, part in enumerate(content if isinstance(content, list | tuple) else ()):
            _require_part(part, f"messages.{number}.content.{at}")
        for at, call in enumerate(message.get("tool_calls") or ()):
            _require_call(call, f"messages.{number}.tool_calls.{at}")


def _require_part(part: Mapping[str, Any], where: str) -> None:
    kind = kind_of_part(part)
    if kind in MEDIA_PARTS:
        return  # guards decide on it first; then it is refused
    if kind not in TEXT_PARTS:
        named = f"of the type {kind[:40]!r}" if kind else "of a type that is no word"
        raise _problem(where, f"a part {named}: models here read text alone, in parts of the type 'text'")
    if text_of_part(part) is None:
        raise _problem(where, f"a part of the type {kind!r} without a text: models here read text alone")


def _require_call(call: Mapping[str, Any], where: str) -> None:
    function = call.get("function")
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise _problem(where, "a call has a `function` with a `name`")
    if not isinstance(function.get("arguments"), str | Mapping | None):
        raise _problem(f"{where}.function.arguments", "arguments are JSON in a text")


def _problem(where: str, what: str) -> Problem:
    return Problem(400, f"{where}: {what}", code="invalid_request", param=where)
