"""A text as the recognisers see it: the same characters however they were typed, and the way back to where they stood.

Full-width and other decimal digits count as ASCII digits, dashes and spaces of all widths as `-` and a space, a letter
with its accents as one character (accents that make no letter do not count), and what nobody sees as nothing.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from functools import cached_property

from loresmith.data.privacy.digit_groups import DigitGroups


def _characters(*ranges: tuple[int, int]) -> str:
    return "".join(chr(code) for first, last in ranges for code in range(first, last + 1))


_INVISIBLE = "\u00ad\u034f\u061c\u180e\ufeff" + _characters(
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x2064), (0x2066, 0x2069), (0xFE00, 0xFE0F)
)
_MARKS = _characters((0x300, 0x34E), (0x350, 0x36F))
_SPACES = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"
_ZEROS = (
    0x660,
    0x6F0,
    0x7C0,
    0x966,
    0x9E6,
    0xA66,
    0xAE6,
    0xB66,
    0xBE6,
    0xC66,
    0xCE6,
    0xD66,
    0xE50,
    0xED0,
    0xF20,
    0x1040,
)
_MATHEMATICAL_ZEROS = (0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6)

_SAME_LENGTH = (
    dict.fromkeys(_SPACES, " ")
    | dict.fromkeys(_DASHES, "-")
    | {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    | {chr(zero + digit): str(digit) for zero in (*_ZEROS, *_MATHEMATICAL_ZEROS) for digit in range(10)}
    | {"\ufe6b": "@", "\ufe52": ".", "\ufe55": ":", "\u2024": "."}
)
_LENGTH_CHANGING = re.compile(f"([{_INVISIBLE}]+)|[{_MARKS}]+")
_TOUCHED = frozenset((*_INVISIBLE, *_MARKS, *_SAME_LENGTH))
_MASK = re.compile(rb"\[[a-z_]+\]")
_MASK_BEFORE = re.compile(rb"\[[a-z_]+\]$")
_LONGEST_MASK = 13
_ASCII = bytes(range(128))


class SeenText:
    """What recognisers look at; see the module.

    Attributes:
        text: the characters as they are seen; the given text itself where nothing differs.
    """

    def __init__(self, given: str) -> None:
        self.text = given
        self._segments: list[tuple[int, int, int, int]] = []  # seen start, given start, seen length, given length
        if given.isascii():
            return
        others = given.encode("utf-8", "surrogatepass").translate(None, _ASCII)
        touched = _TOUCHED.intersection(others.decode("utf-8", "surrogatepass"))
        for character in sorted(touched & _SAME_LENGTH.keys()):
            self.text = self.text.replace(character, _SAME_LENGTH[character])
        if not touched <= _SAME_LENGTH.keys():
            self._shorten()

    def _shorten(self) -> None:
        pieces: list[str] = []
        seen = last = 0

        def add(piece: str, start: int, length: int) -> None:
            nonlocal seen
            if piece:
                pieces.append(piece)
                self._segments.append((seen, start, len(piece), length))
                seen += len(piece)

        for found in _LENGTH_CHANGING.finditer(self.text):
            start, end = found.span()
            if found[1] or start <= last:
                add(self.text[last:start], last, start - last)
            else:
                add(self.text[last : start - 1], last, start - 1 - last)
                add(unicodedata.normalize("NFC", self.text[start - 1 : end])[0], start - 1, end - start + 1)
            last = end
        add(self.text[last:], last, len(self.text) - last)
        self.text = "".join(pieces)

    def given(self, start: int, end: int) -> tuple[int, int]:
        """Where the seen characters from `start` to `end` (at least one) stand in the given text."""
        if not self._segments:
            return start, end
        return self._given(start)[0], self._given(end - 1)[1]

    def _given(self, place: int) -> tuple[int, int]:
        segment = bisect_right(self._segments, (place, float("inf"))) - 1
        seen_start, given_start, seen_length, given_length = self._segments[segment]
        if seen_length == given_length:
            return given_start + place - seen_start, given_start + place - seen_start + 1
        return given_start, given_start + given_length

    @cached_property
    def digits(self) -> DigitGroups:
        """Where the digits are."""
        return DigitGroups(self.lowered)

    @cached_property
    def lowered(self) -> bytes:
        """The text in ASCII lower case, a byte a character, `?` for what Latin-1 lacks: to search for words fast."""
        return self.text.encode("latin-1", "replace").lower()

    def touches_mask(self, start: int, end: int) -> bool:
        """Whether a mask stands right before or behind: what lies between is what a longer finding left over."""
        before, behind = self.lowered[max(0, start - _LONGEST_MASK) : start], self.lowered[end : end + _LONGEST_MASK]
        return _MASK_BEFORE.search(before) is not None or _MASK.match(behind) is not None

    def before(self, place: int, characters: int) -> bytes:
        """So many characters of `lowered` before a place, but none before a mask.

        So a word tells no more after something was masked than before, and masking twice is masking once.
        """
        piece = self.lowered[max(0, place - characters - _LONGEST_MASK) : place]
        return (_MASK.split(piece)[-1] if b"]" in piece else piece)[-characters:]
