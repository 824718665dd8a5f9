"""Numbers of a fixed layout: cards and national ids are found by how they are written, then checked.

A layout is written as people write the number: `#` stands for a digit, `A` for a letter, `*` for either, anything else
for itself. All layouts of all numbers are tried in one walk over the groups of digits of a text; which ones are tried
at a group follows from how many digits it has and what comes after it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from loresmith.data.privacy.digit_groups import CLASSES, LETTER, LONGEST_GROUP, SEPARATORS
from loresmith.data.privacy.findings import Finding
from loresmith.data.privacy.seen_text import SeenText

CUE_REACH = 48
"""How many characters before a number a word is looked for that says what it is."""

WITH_CUE = 0.95
"""How sure a number that keeps its rules is when a word before it says what it is."""

CROWDED = 0.6
"""By what the confidence is multiplied where digits stand right beside: in a table anything fits once."""

_CHARACTERS = {"#": "[0-9]", "A": "[A-Za-z]", "*": "[A-Za-z0-9]"}
_BESIDE = frozenset(" ()")
_CROWDING = frozenset("0123456789[]")  # a mask was something, too
_NOT_ALPHANUMERIC = re.compile(r"[^A-Z0-9]")


@dataclass(frozen=True)
class Layout:
    """A way to write a number.

    Attributes:
        template: see the module.
        alone: how sure it is without a word that says what it is; below any sensible minimum where a cue is needed.
    """

    template: str
    alone: float


@dataclass(frozen=True)
class NumberRule:
    """A kind of number.

    Attributes:
        kind: of its findings.
        rule: of its findings.
        layouts: the ways it is written.
        check: whether letters (in upper case) and digits without separators can be such a number.
        cues: a regular expression over lower-case ASCII for words that say what it is; letters beyond ASCII are `.`.
    """

    kind: str
    rule: str
    layouts: tuple[Layout, ...]
    check: Callable[[str], bool]
    cues: str

    @property
    def longest(self) -> int:
        """The most characters that it takes up."""
        return max(len(layout.template) for layout in self.layouts)


@dataclass(frozen=True)
class _Trial:
    rule: NumberRule
    alone: float
    before: int
    pattern: re.Pattern[str]
    cues: re.Pattern[bytes]


class NumberRecogniser:
    """Finds the numbers of some rules."""

    def __init__(self, rules: Sequence[NumberRule]) -> None:
        self.kinds = tuple(sorted({rule.kind for rule in rules}))
        self.longest = max(rule.longest for rule in rules)
        self._trials: dict[tuple[int, int], list[_Trial]] = defaultdict(list)  # by the first group and what follows it
        self._shapes = np.zeros((LONGEST_GROUP + 1, CLASSES, LONGEST_GROUP + 1), dtype=bool)
        for rule in rules:
            cues = re.compile(rule.cues.encode())
            for layout in rule.layouts:
                first = re.search("#+", layout.template)
                assert first, "a layout without digits would never be tried"
                length, rest = len(first[0]), layout.template[first.end() :]
                trial = _Trial(rule, layout.alone, first.start(), re.compile(_alone(_pattern(layout.template))), cues)
                for following in _classes(rest):
                    self._trials[length, following].append(trial)
                    second = re.match(r"[^#](#*)", rest)
                    self._shapes[length, following, len(second[1]) if second and second[1] else slice(None)] = True

    def find(self, seen: SeenText) -> Iterator[Finding]:
        text, groups = seen.text, seen.digits
        if not len(groups.starts):
            return
        lengths, following, seconds = groups.shapes
        chosen = np.flatnonzero(self._shapes[lengths, following, seconds])
        keys = zip(lengths[chosen].tolist(), following[chosen].tolist(), strict=True)
        for here, key in zip(groups.starts[chosen].tolist(), keys, strict=True):
            for trial in self._trials[key]:
                found = trial.pattern.match(text, here - trial.before) if here >= trial.before else None
                if found and trial.rule.check(_NOT_ALPHANUMERIC.sub("", found[0].upper())):
                    yield self._weigh(seen, trial, *found.span())

    @staticmethod
    def _weigh(seen: SeenText, trial: _Trial, start: int, end: int) -> Finding:
        confidence = trial.alone * (CROWDED if _is_crowded(seen.text, start, end) else 1.0)
        if trial.cues.search(seen.before(start, CUE_REACH)):
            confidence = WITH_CUE
        return Finding(start, end, trial.rule.kind, confidence, trial.rule.rule)


def _classes(rest: str) -> list[int]:
    """What may stand behind the first group of a layout of which this is the rest."""
    if not rest:
        return [following for following in range(CLASSES) if following != LETTER]
    return [LETTER] if rest[0] in "A*" else [LETTER + 1 + SEPARATORS.index(rest[0])]


def _pattern(template: str) -> str:
    return "".join(_CHARACTERS.get(character, re.escape(character)) for character in template)


def _alone(pattern: str) -> str:
    """The pattern where it is not a part of a longer word, decimal number or number with the same separators."""
    return rf"(?<!\w)(?<![0-9\]][.,:\-/]){pattern}(?!\w)(?![.,:\-/][0-9\[])"


def _is_crowded(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    return (before[-1:] in _BESIDE and before[:1] in _CROWDING) or (after[:1] in _BESIDE and after[1:] in _CROWDING)
