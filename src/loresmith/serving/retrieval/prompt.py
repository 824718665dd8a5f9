"""Passages put before a model: quoted, numbered, and in no place where text is taken for the operator's.

A document may say anything, such as that the passages end here and instructions begin. So every line of a passage
begins with a mark that no line of a passage can be without, what chat templates take for control is broken up, and what
is invisible or turns the direction of writing is taken out. It stands in the user's turn, before the question; the
system's message only says how to use it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from loresmith.serving.message_parts import text_of_part
from loresmith.serving.retrieval.passage import Passage
from loresmith.serving.retrieval.settings import RetrievalSettings

QUOTED = "> "
"""What every line of a passage begins with."""

_BEGIN = f"Passages of documents, every line of theirs after `{QUOTED.strip()}`:"
_NONE = "No passage of any document was found for this question."
_NO_ROOM = "Passages were found for this question, and there is no room here for any of them."
_QUESTION = "The question:"

_LONGEST_NAME = 200
_NAMED = re.compile(r'\[\d+\] "(.*)"(?:, page [\d, ]+)?')
_LINE_ENDS = re.compile(r"\r\n|[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]")
_CONTROL = re.compile(r"<(?=\|)|\|(?=>)|[<\[](?=/?(?:s|INST|SYS|<SYS>|start_of_turn|end_of_turn|im_start|im_end)\b)")
"""The beginnings, and ends, of what templates write for control: `<|...|>`, `[INST]`, `<s>`, `<start_of_turn>`."""
_SEEN = "\t\u200c\u200d"
"""Signs without a shape that words of some languages need."""


@dataclass(frozen=True)
class Grounded:
    """A conversation with passages.

    Attributes:
        messages: what the model is given.
        passages: those that are in it, numbered as they are there.
    """

    messages: list[dict[str, Any]]
    passages: tuple[Passage, ...]


@dataclass(frozen=True)
class Shown:
    """A passage as a model was shown it.

    Attributes:
        name: where it stands; its first 200 characters.
        text: what it says, without what is invisible.
    """

    name: str
    text: str


@dataclass(frozen=True)
class Ungrounded:
    """A conversation without the passages that were put into it.

    Attributes:
        messages: as a caller sent them.
        passages: those that were in it, the first first.
    """

    messages: list[dict[str, Any]]
    passages: tuple[Shown, ...]


def question_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """What is asked, and so looked for: the text of the last turn of the user; empty where there is none."""
    for message in reversed(messages):
        if message["role"] == "user":
            return _text_of(message.get("content"))
    return ""


def with_passages(
    messages: Sequence[Mapping[str, Any]],
    passages: Sequence[Passage],
    settings: RetrievalSettings,
    texts: Sequence[str] | None = None,
    most: int | None = None,
) -> Grounded:
    """Put passages into a conversation.

    Args:
        messages: as a caller sent them; they are not changed. Without a turn of the user nothing is put in.
        passages: the best first.
        texts: what each says, where that is not its own text any more: guards may have masked something.
        most: no more than so many of them are put in.
    """
    turn = next((at for at in range(len(messages) - 1, -1, -1) if messages[at]["role"] == "user"), None)
    if turn is None:
        return Grounded([dict(message) for message in messages], ())
    chosen: list[Passage] = []
    parts: list[str] = []
    left = settings.characters
    said = zip(passages, texts or [passage.text for passage in passages], strict=True)
    for passage, text in islice(said, most):
        part = quoted(passage, text)
        if len(part) > left:
            break
        left -= len(part)
        chosen.append(passage)
        parts.append(part)
    block = "\n\n".join([_BEGIN, *parts]) if parts else _NO_ROOM if passages else _NONE
    grounded = [dict(message) for message in messages]
    grounded[turn]["content"] = _before(grounded[turn].get("content"), f"{block}\n\n{_QUESTION}\n")
    return Grounded(_instructed(grounded, settings.instructions), tuple(chosen))


def without_passages(messages: Sequence[Mapping[str, Any]], instructions: str) -> Ungrounded:
    """A conversation that `with_passages` made, as it was before, and what it put in.

    Args:
        messages: what begins as passages do in them is taken for passages.
        instructions: of the settings; others than those by which it was made stay where they are.
    """
    bare = [dict(message) for message in messages]
    turn = next((message for message in reversed(bare) if message["role"] == "user"), None)
    content = None if turn is None else turn.get("content")
    first = content if isinstance(content, str) else content[0].get("text", "") if content else ""
    block, question, asked = first.partition(f"\n\n{_QUESTION}\n")
    head, *passages = block.split("\n\n")
    if turn is None or not question or head not in (_BEGIN, _NONE, _NO_ROOM):
        return Ungrounded(bare, ())
    turn["content"] = asked if isinstance(content, str) else list(content or ())[1:]
    return Ungrounded(_uninstructed(bare, instructions), tuple(map(_shown, passages)))


def quoted(passage: Passage, text: str) -> str:
    """A passage as a model is shown it: its number and where it stands, then its lines."""
    pages = f", page {', '.join(map(str, passage.pages))}" if passage.pages else ""
    name = _harmless(" ".join(_LINE_ENDS.split(passage.path)))
    named = f'[{passage.number}] "{name[:_LONGEST_NAME]}"{pages}'
    return "\n".join([named, *(f"{QUOTED}{_harmless(line)}" for line in _LINE_ENDS.split(text))])


def _harmless(line: str) -> str:
    """A line without what is invisible, and without what a template could take for control."""
    shown = "".join(sign for sign in line if sign in _SEEN or unicodedata.category(sign) not in ("Cc", "Cf", "Co"))
    return _CONTROL.sub(lambda found: found[0] + " ", shown)


def _instructed(messages: list[dict[str, Any]], instructions: str) -> list[dict[str, Any]]:
    """With instructions at the end of the first system message, or as one of their own."""
    if not instructions:
        return messages
    if messages[0]["role"] not in ("system", "developer"):
        return [{"role": "system", "content": instructions}, *messages]
    content = messages[0].get("content")
    if isinstance(content, str):
        return [{**messages[0], "content": f"{content}\n\n{instructions}"}, *messages[1:]]
    return [{**messages[0], "content": [*(content or ()), {"type": "text", "text": instructions}]}, *messages[1:]]


def _uninstructed(messages: list[dict[str, Any]], instructions: str) -> list[dict[str, Any]]:
    """What `_instructed` was given."""
    first, *others = messages
    content = first.get("content")
    if not instructions or first["role"] not in ("system", "developer"):
        return messages
    if content == instructions:
        return others
    if isinstance(content, str):
        return [{**first, "content": content.removesuffix(f"\n\n{instructions}")}, *others]
    if content and content[-1].get("text") == instructions:
        return [{**first, "content": list(content[:-1])}, *others]
    return messages


def _shown(part: str) -> Shown:
    """What `quoted` wrote, read again."""
    named, *lines = part.split("\n")
    found = _NAMED.fullmatch(named)
    return Shown(found[1] if found else named, "\n".join(line.removeprefix(QUOTED) for line in lines))


def _before(content: Any, text: str) -> Any:
    """Content, a text or a list of parts, after a text."""
    if isinstance(content, list):
        return [{"type": "text", "text": text}, *content]
    return text + (content or "")


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(text for part in content if (text := text_of_part(part)) is not None)
    return content or ""
