"""What a chat template leaves out of a conversation without a word: a record must not lose any of what it says.

Some templates leave something out of every conversation, such as the system prompt or all tools. They are found by
rendering words that stand nowhere else. What is left out of one conversation alone is found by looking for the words
of its messages in the text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from loresmith.models.template_text import Message, TemplateRefusalError, template_text

_Tools = Sequence[Mapping[str, Any]]

_TOOL = {"type": "function", "function": {"name": "zqtool", "parameters": {"type": "object", "properties": {}}}}
_CALL = {"type": "function", "id": "call00001", "function": {"name": "zqtool", "arguments": {"part": "zqcall"}}}
_ASK: Message = {"role": "user", "content": "Where?"}
_PROBES: tuple[tuple[Sequence[Message], _Tools, Mapping[str, str]], ...] = (
    ([{"role": "system", "content": "zqsystem"}, _ASK], (), {"system prompt": "zqsystem"}),
    ([_ASK], (_TOOL,), {"tools": "zqtool"}),
    (
        [
            _ASK,
            {"role": "assistant", "content": "", "tool_calls": [_CALL]},
            {"role": "tool", "content": "zqresult", "tool_call_id": "call00001", "name": "zqtool"},
            {"role": "assistant", "content": "There."},
        ],
        (_TOOL,),
        {"tool calls": "zqcall", "tool results": "zqresult"},
    ),
)


class Omissions:
    """What one template leaves out.

    Args:
        template: Jinja, as tokenizers carry it.
        variables: what it may read besides the messages.
    """

    def __init__(self, template: str, variables: Mapping[str, Any]) -> None:
        self._template = template
        self._variables = variables

    @cached_property
    def always(self) -> frozenset[str]:
        """What it leaves out of every conversation: `system prompt`, `tools`, `tool calls`, `tool results`.

        What a template refuses with an error it does not leave out without a word.
        """
        missing: set[str] = set()
        for messages, tools, words in _PROBES:
            try:
                text = template_text(self._template, messages, tools, self._variables).text
            except TemplateRefusalError:
                continue
            missing.update(kind for kind, word in words.items() if word not in text)
        return frozenset(missing)

    def first(self, messages: Sequence[Message], tools: _Tools, text: str) -> str | None:
        """The first thing of a conversation that its rendered text lacks; None where it has all."""
        held = {
            "system prompt": any(message["role"] == "system" and message.get("content") for message in messages),
            "tools": bool(tools),
            "tool calls": any(message.get("tool_calls") for message in messages),
            "tool results": any(message["role"] == "tool" for message in messages),
        }
        for kind, holds in held.items():
            if holds and kind in self.always:
                return f"the {kind}, as it does in every conversation"
        return next(_missing(messages, text), None)


def _missing(messages: Sequence[Message], text: str) -> Iterator[str]:
    for number, message in enumerate(messages):
        role, said = message["role"], str(message.get("content") or "")
        if role == "assistant":
            said = said.rpartition("</think>")[2]  # templates leave out what was thought in earlier turns
        if not _stands_in(said.strip(), text):
            yield f"{'the system prompt' if role == 'system' else f'the {role} message'}, messages[{number}]"
        reasoning = str(message.get("reasoning_content") or "")
        if message.get("weight", 1) and not _stands_in(reasoning.strip(), text):
            yield f"the reasoning_content of messages[{number}]"


def _stands_in(said: str, text: str) -> bool:
    """Whether the text has it, as it is or as JSON writes it."""
    return said in text or json.dumps(said, ensure_ascii=False)[1:-1] in text or json.dumps(said)[1:-1] in text
