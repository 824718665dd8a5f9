"""The marks of an answer, such as [1] or [2, 3], led back to the documents that they stand for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict, Field

from loresmith.serving.retrieval.passage import Passage

_MARK = re.compile(r"\[\^?(\d{1,3}(?:\s*[,;\u2013-]\s*\^?\d{1,3})*)\]|【(\d{1,3}(?:\s*[,;\u2013-]\s*\d{1,3})*)】")
_RANGE = re.compile(r"(\d+)\s*[\u2013-]\s*\^?(\d+)|(\d+)")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)


class Citation(BaseModel):
    """A mark in an answer, and what it stands for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(description="The passage's number.")
    answer_start: int = Field(description="The first character of the mark in the answer.")
    answer_end: int = Field(description="The character behind it.")
    document: str = Field(description="The document's id.")
    path: str = Field(description="The file, and the record in it, if it has some.")
    pages: tuple[int, ...] = Field(description="The pages, slides, sheets or chapters; empty where there are none.")
    start: int = Field(description="The passage's first character in the document's text.")
    end: int = Field(description="The character behind its last.")
    byte_start: int = Field(description="The first byte in the file.")
    byte_end: int = Field(description="The byte behind the last.")
    exact: bool = Field(description="Whether these bytes are those of the passage alone, not of the whole document.")


class Cited(BaseModel):
    """All marks of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    citations: tuple[Citation, ...] = Field(description="In the order of the answer; a mark of two numbers gives two.")
    unknown: tuple[int, ...] = Field(description="Numbers that no passage has: the model made them up.")


def citations(answer: str, passages: Sequence[Passage]) -> Cited:
    """What the marks of an answer stand for. What looks like a mark in code is none.

    Args:
        passages: those that the model was shown.
    """
    by_number = {passage.number: passage for passage in passages}
    highest = max(by_number, default=0)
    code = [found.span() for found in _CODE.finditer(answer)]
    found: list[Citation] = []
    unknown: dict[int, None] = {}
    for mark in _MARK.finditer(answer):
        if any(start <= mark.start() < end for start, end in code):
            continue
        for number in _numbers(mark[1] or mark[2], highest):
            passage = by_number.get(number)
            if passage is None:
                unknown[number] = None
                continue
            stands = {name: getattr(passage, name) for name in _FROM_PASSAGE}
            found.append(Citation(answer_start=mark.start(), answer_end=mark.end(), **stands))
    return Cited(citations=tuple(found), unknown=tuple(unknown))


_FROM_PASSAGE = [name for name in Citation.model_fields if not name.startswith("answer_")]


def _numbers(text: str, highest: int) -> Iterator[int]:
    """The numbers of a mark; of a range those that can be there, and its end."""
    for found in _RANGE.finditer(text):
        if found[3]:
            yield int(found[3])
            continue
        first, last = int(found[1]), int(found[2])
        yield from range(first, min(last, highest) + 1)
        if last > highest:
            yield last
