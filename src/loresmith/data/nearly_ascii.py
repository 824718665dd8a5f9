"""Text that is ASCII but for a few letters of an older encoding, of which a detector has too little to be sure.

A change log with one name in Latin-1 is the usual case. What those bytes are is told by their places: a letter with an
accent stands in a word, a sign such as a degree or a quotation mark beside one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MOST_BEYOND = 0.05
"""Share of the bytes that may be beyond ASCII."""

LEAST_IN_PLACE = 0.8
"""Share of the characters beyond ASCII that must stand where they belong; the rest may be damage."""

USUAL = "cp1252"
"""The encoding that such text mostly is in; it has the letters of Latin-1 where Latin-1 has them."""

_LONGEST_RUN = 2  # "Gr\u00f6\u00dfe"; characters of two bytes come in longer ones
_ASCII = bytes(range(128))
_NOT_OF_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_UTF8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_RUN = re.compile(r"[^\x00-\x7f]+")
_QUOTES = frozenset("\u2018\u2019\u201a\u201c\u201d\u201e\u2026\u2013\u2014\xab\xbb\xa0\xad")
_SIGNS = frozenset(
    "\xa9\xae\xb0\xa7\xa3\u20ac\u2022\xb7\xd7\xf7\xbc\xbd\xbe\xb1\xb5\xbf\xa1\xb6\u2122\u2030\xa2\xa5\xaa\xba\xb2\xb3\xb9\xac"
)


def encoding_of_the_rest(data: bytes, likely: Iterable[str]) -> str:
    """The encoding in which the few bytes beyond ASCII make sense; empty where there are many, or none does.

    Text with anything in it that is UTF-8 is none of these: it is damaged.

    Args:
        likely: encodings to try first, in order; `USUAL` is the last that is tried.
    """
    beyond = len(data.translate(None, _ASCII))
    if not 0 < beyond <= MOST_BEYOND * len(data) or _NOT_OF_TEXT.search(data) or _UTF8.search(data):
        return ""
    for encoding in (*likely, USUAL):
        try:
            text = data.decode(encoding)
        except (UnicodeError, LookupError):
            continue
        if len(text) == len(data) and _in_place(text):
            return encoding
    return ""


def _in_place(text: str) -> bool:
    """Whether the characters beyond ASCII stand where such characters do."""
    found = right = 0
    for run in _RUN.finditer(text):
        found += len(run[0])
        before, after = text[run.start() - 1 : run.start()], text[run.end() : run.end() + 1]
        if len(run[0]) <= _LONGEST_RUN and _makes_sense(run[0], before, after):
            right += len(run[0])
    return found > 0 and right >= LEAST_IN_PLACE * found


def _makes_sense(run: str, before: str, after: str) -> bool:
    if all(letter in _QUOTES for letter in run):
        return True
    if all(letter in _SIGNS or letter in _QUOTES for letter in run):
        return not (before.isalpha() and after.isalpha())
    if not all(letter in _QUOTES or unicodedata.name(letter, "").startswith("LATIN") for letter in run):
        return False
    if not (before.isalpha() or after.isalpha()):
        return False
    return not (before.islower() and run[0].isupper())
