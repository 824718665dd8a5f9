"""Finds orders to the model in what should be data: heuristics, which lower a risk and end none."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from loresmith.serving.guards.guard import Hit, Reading
from loresmith.serving.guards.injection_rules import find_orders
from loresmith.serving.guards.settings import InjectionGuard

TOGETHER = 400
"""Characters within which hints add up."""

_LONGEST_SENTENCE = 300
_BOUNDARY = re.compile(r"[.!?](?=\s)|\n")
_LEET = str.maketrans("0134578@$!", "oieastbasi")
_LEET_WORD = re.compile(r"(?<![a-z0-9@$!])(?=[a-z0-9@$!]*[a-z])(?=[a-z0-9@$!]*[0-9@$!])[a-z0-9@$!]{2,}")
_ROT13_WORD = re.compile(r"\b(?:gur|naq|abg|lbh|guvf|gung|lbhe|nobhg|sbe|jvgu|vtaber|cerivbhf|flfgrz)\b")
_BACKWARDS_WORD = re.compile(r"\b(?:eht|dna|ton|uoy|siht|taht|ruoy|rof|htiw|erongi|suoiverp|metsys|tpmorp|llet)\b")
_WORD = re.compile(r"\w+")
_FEWEST_SIGNS = 2
"""Words that have to be turned around for a text to count as written so."""

_UNSEEN = ("tags", "selectors")


class InjectionHeuristics:
    """Finds orders.

    Args:
        settings: how much of them has to come together.
    """

    hold = 320
    left = TOGETHER
    whole = False
    mask = "[REMOVED]"

    def __init__(self, settings: InjectionGuard) -> None:
        self._threshold = settings.threshold

    def look(self, reading: Reading) -> Iterator[Hit]:
        given = reading.views.given
        for view in reading.views.all:
            if view.form == "" and reading.views.look is not view:
                continue  # its look has all that it has
            hidden = f" ({view.form})" if view.form else ""
            if view.form in _UNSEEN:
                yield Hit(*view.given(0, len(view.text)), f"unseen text{hidden}", self.mask)
            for text, form in _readings(view.text):
                for start, end, rule in self._orders(text):
                    first, last = (len(text) - end, len(text) - start) if form == " (backwards)" else (start, end)
                    yield Hit(*_sentence(given, *view.given(first, last)), rule + hidden + form, self.mask)

    def _orders(self, text: str) -> Iterator[tuple[int, int, str]]:
        found = sorted((start, end, rule.name, rule.weight) for start, end, rule in find_orders(text))
        for start, end, name, _ in found:
            weights: dict[str, float] = {}
            for other_start, _, other, weight in found:
                if abs(other_start - start) <= TOGETHER:
                    weights[other] = max(weight, weights.get(other, 0.0))
            if sum(weights.values()) >= self._threshold:
                yield start, end, name

    def open_from(self, reading: Reading) -> int:
        return len(reading.views.given)


def _readings(text: str) -> Iterator[tuple[str, str]]:
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(one if len(one := character.lower()) == 1 else character for character in text)
    yield lower, ""
    if len(_LEET_WORD.findall(lower)) >= _FEWEST_SIGNS:
        yield _LEET_WORD.sub(lambda word: word[0].translate(_LEET), lower), " (digits)"
    if len(_ROT13_WORD.findall(lower)) >= _FEWEST_SIGNS:
        yield codecs.encode(lower, "rot13"), " (rot13)"
    if len(_BACKWARDS_WORD.findall(lower)) >= _FEWEST_SIGNS:
        yield lower[::-1], " (backwards)"
        yield _WORD.sub(lambda word: word[0][::-1], lower), " (words backwards)"


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """The sentence or line around a stretch."""
    before = [found.end() for found in _BOUNDARY.finditer(text, max(0, start - _LONGEST_SENTENCE), start)]
    behind = _BOUNDARY.search(text, end, end + _LONGEST_SENTENCE)
    first = before[-1] if before else max(0, start - _LONGEST_SENTENCE)
    while first < start and text[first].isspace():
        first += 1
    return first, behind.start() + (text[behind.start()] != "\n") if behind else min(len(text), end + _LONGEST_SENTENCE)
