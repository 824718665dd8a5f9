"""A text in the letters that it looks like: what nobody sees is gone, look-alikes are the ASCII letters they resemble.

Characters become those of Unicode's NFKC, without accents; then those that look like ASCII letters and digits become
them (Unicode Technical Standard #39, confusable detection). Case stays.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib.resources import files

from loresmith.serving.guards.view import Rewriting, View

_TO_LOOK_AT = re.compile(r"[^\t\n\r -~]+")
_AS_IT_IS = bytes((9, 10, 13, *range(32, 127)))  # what that leaves out
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\u02d7\ufe58\ufe63\uff0d"
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
_OTHER = {
    **dict.fromkeys(_DASHES, "-"),
    **dict.fromkeys(_FILLERS, ""),
    "\u2800": " ",
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u2024": ".",
    "\u2044": "/",
    "\u2215": "/",
    "\u2216": "\\",
    "\u2236": ":",
    "\ua789": ":",
    "\u01c3": "!",
    "\u201a": ",",
}
_UNSEEN_CATEGORIES = {"Cf", "Cc", "Mn", "Me", "Cn", "Co", "Cs"}


@cache
def _look_alikes() -> dict[str, str]:
    listing = files("loresmith.serving.guards").joinpath("look_alikes.txt").read_text("utf-8")
    lines = (line.split(" ", 1) for line in listing.splitlines() if line and not line.startswith("#"))
    return {character: letters for letters, characters in lines for character in characters}


class _Folded(dict[str, str]):
    """What each character becomes, worked out when it is met."""

    def __missing__(self, character: str) -> str:
        self[character] = folded = _fold(character)
        return folded


def _fold(character: str) -> str:
    if character in _OTHER:
        return _OTHER[character]
    if character.isspace():
        return "\n" if character in "\x0b\x0c\x85\u2028\u2029" else " "
    known = _look_alikes()
    letters = []
    for part in unicodedata.normalize("NFKC", character):
        if part in known:
            letters.append(known[part])
            continue
        for base in unicodedata.normalize("NFKD", part):
            if unicodedata.category(base) not in _UNSEEN_CATEGORIES:
                letters.append(known.get(base, _OTHER.get(base, base)))
    return "".join(letters)


_FOLDED = _Folded()


def looks_like(character: str) -> str:
    """What a character becomes; several letters, or none, for some."""
    return _FOLDED[character]


def folded(text: str) -> View | None:
    """The text as it looks; None where that is what it is."""
    if text.isascii() and not text.encode().translate(None, _AS_IT_IS):
        return None
    made = Rewriting(text)
    for found in _TO_LOOK_AT.finditer(text):
        for place, character in enumerate(found[0], found.start()):
            becomes = _FOLDED[character]
            if becomes != character:
                made.replace(place, place + 1, becomes)
    return made.view("folded")
