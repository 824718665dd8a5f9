"""Calls of functions in what a model writes: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`.

This is the form of Hermes 2 Pro, Qwen and our own chat template (`models.chat_template`). What is no such call after
all, broken JSON and arguments that are no Unicode among it, is text.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from loresmith.serving.engines.generation import Grammar
from loresmith.serving.gateway.asked import ToolCall

BEGIN = "<tool_call>"
END = "</tool_call>"


class ToolCallReader:
    """Takes an answer apart while it is written.

    Args:
        names: of the functions that may be called; none leaves everything text.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)
        self._held = ""
        self._inside = False

    def feed(self, text: str) -> tuple[str, list[ToolCall]]:
        """What is text for certain, and the calls that are complete."""
        if not self._names:
            return text, []
        self._held += text
        said = ""
        calls: list[ToolCall] = []
        while True:
            if not self._inside:
                at = self._held.find(BEGIN)
                if at < 0:
                    kept = _possible_beginning(self._held)
                    said += self._held[: len(self._held) - kept]
                    self._held = self._held[len(self._held) - kept :]
                    return said, calls
                said += self._held[:at]
                self._held = self._held[at:]
                self._inside = True
            end = self._held.find(END)
            if end < 0:
                return said, calls
            whole, self._held = self._held[: end + len(END)], self._held[end + len(END) :]
            call = self._call(whole[len(BEGIN) : -len(END)])
            self._inside = False
            if call is None:
                said += whole
            else:
                calls.append(call)
                self._held = self._held.lstrip("\n")

    def end(self) -> str:
        """The rest, which is no call."""
        rest, self._held = self._held, ""
        return rest

    def _call(self, written: str) -> ToolCall | None:
        try:
            found = json.loads(written)
            name = found.get("name") if isinstance(found, dict) else None
            if not isinstance(name, str) or name not in self._names:
                return None
            arguments = found.get("arguments", {})
            if not isinstance(arguments, str):
                arguments = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
            arguments.encode()  # half a letter (a lone surrogate) can neither be sent nor kept
        except (ValueError, RecursionError):
            return None
        return ToolCall(f"call_{secrets.token_hex(12)}", name, arguments)


def call_grammar(tools: Sequence[Mapping[str, Any]], name: str | None, *, several: bool) -> Grammar:
    """The form of an answer that is a call.

    Args:
        tools: in OpenAI's form.
        name: of the function; None for any of them.
        several: whether more calls may follow.
    """
    functions = [tool["function"] for tool in tools if name is None or tool["function"]["name"] == name]
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": function["name"]},
                "arguments": function.get("parameters") or {"type": "object"},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for function in functions
    ]
    schema = json.dumps(calls[0] if len(calls) == 1 else {"anyOf": calls})
    repeated = 'start: call ("\\n" call)*' if several else "start: call"
    return Grammar(value=f'{repeated}\ncall: "{BEGIN}\\n" arguments "\\n{END}"\narguments: %json {schema}\n')


def _possible_beginning(text: str) -> int:
    """Length of the longest end of `text` with which BEGIN begins."""
    return max((size for size in range(1, len(BEGIN)) if text.endswith(BEGIN[:size])), default=0)
