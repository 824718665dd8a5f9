"""Lines of a text with where they stand, and what makes two of them alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Line:
    """A line with ink.

    Attributes:
        start: its first character, white space included.
        end: the character after its line feed, or after the text's last.
        text: without white space around it.
    """

    start: int
    end: int
    text: str

    @property
    def masked(self) -> str:
        """In lower case, numbers as `#` and white space as one space: the same line on another page."""
        return _DIGITS.sub("#", " ".join(self.text.lower().split()))


def first_lines(text: str, count: int, start: int = 0, end: int | None = None) -> list[Line]:
    """The first lines with ink of characters start .. end - 1, in order."""
    end = len(text) if end is None else end
    lines: list[Line] = []
    while start < end and len(lines) < count:
        found = text.find("\n", start, end)
        after = end if found < 0 else found + 1
        if ink := text[start:after].strip():
            lines.append(Line(start, after, ink))
        start = after
    return lines


def last_lines(text: str, count: int, start: int = 0, end: int | None = None) -> list[Line]:
    """The last lines with ink of characters start .. end - 1, in order."""
    end = len(text) if end is None else end
    lines: list[Line] = []
    while start < end and len(lines) < count:
        first = text.rfind("\n", start, end - 1) + 1 or start
        if ink := text[first:end].strip():
            lines.append(Line(first, end, ink))
        end = first
    return lines[::-1]


def border_lines(text: str, count: int, parts: list[tuple[int, int]]) -> Iterator[Line]:
    """Lines near the beginning or the end of some parts of a text, in order and each once."""
    done = 0
    for start, end in parts:
        for line in (*first_lines(text, count, start, end), *last_lines(text, count, start, end)):
            if line.start >= done:
                done = line.end
                yield line
