"""Control tokens in messages: a message that spells one holds its characters, not the token.

While a template is rendered, every control token in a message stands between two private characters, which are taken
out again afterwards; what stands between them is encoded as ordinary text. The scheme is that of transformers'
`apply_chat_template(sanitize_control_tokens=True)`, and so are the private characters.

Control tokens are the tokenizer's special tokens, and the other added tokens that the template writes. Of the latter an
assistant's turn may hold the real ones (`<think>`, `<tool_call>`): they are what the model is to write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loresmith.errors import UserError
from loresmith.models.template_text import Message, TemplateText

_OPEN, _CLOSE = "\U000f0000", "\U000f0001"


@dataclass(frozen=True)
class Piece:
    """Part of a rendered conversation.

    Attributes:
        text: as it is written.
        learnt: whether the assistant writes it, in a turn that counts.
        literal: whether it is the name of a control token that a message holds, and so no control token.
    """

    text: str
    learnt: bool = False
    literal: bool = False


class ControlTokens:
    """What a tokenizer and a template use to mark turns.

    Args:
        tokenizer: a transformers tokenizer.
        template: its chat template.
    """

    def __init__(self, tokenizer: Any, template: str) -> None:
        added = list(tokenizer.added_tokens_decoder.values())
        special = {token.content for token in added if token.special}
        written = {token.content for token in added if token.content in template and not token.content.isspace()}
        self._special = _pattern(special)
        self._control = _pattern(special | written)
        self._guards = re.compile(f"{_OPEN}({self._control.pattern}){_CLOSE}|[{_OPEN}{_CLOSE}]")

    def first(self, text: str) -> str | None:
        """The first control token that a text spells."""
        found = self._control.search(text)
        return found[0] if found else None

    def without(self, text: str) -> str:
        """A text without the control tokens that it spells."""
        return self._control.sub("", text)

    def guarded(self, messages: Sequence[Message]) -> list[Message]:
        """Messages for the template, with private characters around the control tokens that they spell.

        Raises:
            UserError: a message holds one of the private characters.
        """
        return [
            _guarded(message, self._special if message["role"] == "assistant" else self._control)
            for message in messages
        ]

    def guarded_tools(self, tools: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The same for what is said of tools."""
        return [_guarded(tool, self._control) for tool in tools]

    def cut(self, rendered: TemplateText, counted: Sequence[bool]) -> tuple[Piece, ...]:
        """The pieces of a text, cut at the private characters, which are left out, and at the ends of spans.

        Args:
            rendered: what the template made of guarded messages.
            counted: of each span, whether it is learnt.
        """
        pieces: list[Piece] = []
        place = 0
        for (start, end), counts in zip(rendered.spans, counted, strict=True):
            pieces += self._parts(rendered.text[place:start], False)
            pieces += self._parts(rendered.text[start:end], counts)
            place = end
        return (*pieces, *self._parts(rendered.text[place:], False))

    def _parts(self, text: str, learnt: bool) -> Iterator[Piece]:
        # Text and control tokens take turns; a private character that a template tore from its token gives None.
        for number, part in enumerate(self._guards.split(text)):
            if part:
                yield Piece(part, learnt, literal=number % 2 == 1)


def _pattern(tokens: Iterable[str]) -> re.Pattern[str]:
    """Matches any of the tokens, the longest that fits."""
    return re.compile("|".join(map(re.escape, sorted(tokens, key=lambda token: (-len(token), token)))) or "(?!)")


def _guarded(value: Any, tokens: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        if _OPEN in value or _CLOSE in value:
            raise UserError(
                "a message holds the private character U+F0000 or U+F0001, which rendering needs for itself"
            )
        return tokens.sub(rf"{_OPEN}\g<0>{_CLOSE}", value)
    if isinstance(value, Mapping):
        return {_guarded(key, tokens): _guarded(item, tokens) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_guarded(item, tokens) for item in value]
    return value
