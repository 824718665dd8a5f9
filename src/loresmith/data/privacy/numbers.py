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

from loresmith.data.privacy.findings import Finding
from loresmith.data.privacy.seen_text import SeenText

CUE_REACH = 48
"""How many characters before a number a word is looked for that says what it is."""

WITH_CUE = 0.95
"""How sure a number that keeps its rules is when a word before it says what it is."""

CROWDED = 0.6
"""By what the confidence is multiplied where digits stand right beside: in a table anything fits once."""

_CHARACTERS = {"#": "[0-9]", "A": "[A-Za-z]", "*": "[A-Za-z0-9]"}
_GROUP = re.compile(r"[0-9]+")
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
        self._trials: dict[tuple[int, str], list[_Trial]] = defaultdict(list)
        for rule in rules:
            cues = re.compile(rule.cues.encode())
            for layout in rule.layouts:
                first = re.search("#+", layout.template)
                assert first, "a layout without digits would never be tried"
                pattern = "".join(_CHARACTERS.get(character, re.escape(character)) for character in layout.template)
                after = layout.template[first.end() : first.end() + 1]
                key = len(first[0]), "A" if after == "*" else after
                trial = _Trial(rule, layout.alone, first.start(), re.compile(_alone(pattern)), cues)
                self._trials[key].append(trial)

    def find(self, seen: SeenText) -> Iterator[Finding]:
        text, trials = seen.text, self._trials
        for start, end in seen.number_runs:
            for group in _GROUP.finditer(text, start, end):
                here, after = group.span()
                following = text[after : after + 1]
                length = after - here
                if following.isalpha():
                    wanted = trials.get((length, "A"), ())
                else:
                    wanted = [*trials.get((length, ""), ()), *trials.get((length, following), ())]
                for trial in wanted:
                    found = trial.pattern.match(text, here - trial.before) if here >= trial.before else None
                    if found and trial.rule.check(_NOT_ALPHANUMERIC.sub("", found[0].upper())):
                        yield self._weigh(seen, trial, *found.span())

    @staticmethod
    def _weigh(seen: SeenText, trial: _Trial, start: int, end: int) -> Finding:
        confidence = trial.alone * (CROWDED if _is_crowded(seen.text, start, end) else 1.0)
        if trial.cues.search(seen.before(start, CUE_REACH)):
            confidence = WITH_CUE
        return Finding(start, end, trial.rule.kind, confidence, trial.rule.rule)


def _alone(pattern: str) -> str:
    """The pattern where it is not a part of a longer word, decimal number or number with the same separators."""
    return rf"(?<!\w)(?<![0-9\]][.,:\-/]){pattern}(?!\w)(?![.,:\-/][0-9\[])"


def _is_crowded(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    return (before[-1:] in _BESIDE and before[:1] in _CROWDING) or (after[:1] in _BESIDE and after[1:] in _CROWDING)
