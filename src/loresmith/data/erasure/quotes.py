"""Whether a text quotes one of some documents.

Of each document every 32 characters are noted, white space counted as one. Whoever quotes 63 characters or more in a
row quotes such 32 as a whole, wherever the quotation begins.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

PIECE = 32
_FEWEST_DIFFERENT = 8
"""Characters; rules of dashes and rows of zeros are nobody's own words."""
_SHORTEST_WHOLE = 8

_SPACE = re.compile(r"\s+")


class Quotes:
    """Texts of which none may be quoted."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._pieces: set[str] = set()
        self._wholes: set[str] = set()
        self._texts = sorted(set(map(_plain, texts)))
        for text in self._texts:
            pieces = (text[start : start + PIECE] for start in range(0, len(text) - PIECE + 1, PIECE))
            self._pieces.update(piece for piece in pieces if len(set(piece)) >= _FEWEST_DIFFERENT)
            if _SHORTEST_WHOLE <= len(text) < 2 * PIECE:
                self._wholes.add(text)

    def __bool__(self) -> bool:
        return bool(self._pieces or self._wholes)

    def are_in(self, text: str) -> bool:
        """Whether a text has one of them: as it stands, as strings of JSON, or as HTML."""
        return any(self._stand_in(_plain(form)) for form in _forms(text))

    def have(self, line: str) -> bool:
        """Whether a line quotes one of them, or stands in one as a whole."""
        plain = _plain(line)
        return self.are_in(line) or (len(plain) >= _SHORTEST_WHOLE and any(plain in text for text in self._texts))

    def _stand_in(self, text: str) -> bool:
        if any(whole in text for whole in self._wholes):
            return True
        pieces = self._pieces
        return any(text[start : start + PIECE] in pieces for start in range(len(text) - PIECE + 1))


def _plain(text: str) -> str:
    return _SPACE.sub(" ", text).strip()


def _forms(text: str) -> Iterator[str]:
    yield text
    if "&" in text:
        yield html.unescape(text)
    if "\\" not in text:
        return
    for line in (text, *text.splitlines()):
        try:
            yield from _strings(json.loads(line))
        except (ValueError, RecursionError):
            continue


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inside in value.items():
            yield key
            yield from _strings(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _strings(inside)
