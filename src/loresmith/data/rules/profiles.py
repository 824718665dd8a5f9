"""What is expected of each sort of documents, as data: which rules look, and which scores are out of bounds.

`web` has the bounds that were published for pages crawled from the web. Reference manuals break nearly all of them by
nature (tables, lists, short lines, repeated phrases), so that the other profiles have only bounds for what is no text
at all, and mark what is unusual. A recipe may take a profile and replace bounds in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

Consequence = Literal["drop", "quarantine", "flag"]
"""What becomes of a document: it goes, somebody looks at it, or it is kept and its books say so."""


@dataclass(frozen=True)
class Bound:
    """What a score has to be.

    Attributes:
        score: its name; a document that does not have it is within bounds.
        consequence: of being out of bounds.
        because: why, as a sentence for the books.
        minimum, maximum: that are still within; None: there is none.
    """

    score: str
    consequence: Consequence
    because: str
    minimum: float | None = None
    maximum: float | None = None

    def breaks(self, value: float) -> bool:
        """Whether a value is out of bounds."""
        return (self.minimum is not None and value < self.minimum) or (
            self.maximum is not None and value > self.maximum
        )


@dataclass(frozen=True)
class FlagRule:
    """What a flag means; attributes as for a bound. A flag that ends with `:` stands for all that begin so."""

    flag: str
    consequence: Consequence
    because: str

    def meets(self, flag: str) -> bool:
        """Whether it is about a flag."""
        return flag.startswith(self.flag) if self.flag.endswith(":") else flag == self.flag


@dataclass(frozen=True)
class Breach:
    """A bound that a document breaks, or a flag that it should not have.

    Attributes:
        name: of the score or the flag.
        value: the score; None for a flag.
    """

    name: str
    value: float | None
    consequence: Consequence
    because: str


@dataclass(frozen=True)
class Profile:
    """What is expected of a sort of documents.

    Attributes:
        rules: names of the rules that look, in the order in which their edits are made.
        bounds, flags: what is out of bounds.
    """

    rules: tuple[str, ...]
    bounds: tuple[Bound, ...] = ()
    flags: tuple[FlagRule, ...] = field(default=())

    def breaches(self, scores: Mapping[str, float], flags: Iterable[str]) -> Iterator[Breach]:
        """All that is out of bounds in a document, in the order of the profile."""
        for bound in self.bounds:
            value = scores.get(bound.score)
            if value is not None and bound.breaks(value):
                yield Breach(bound.score, value, bound.consequence, bound.because)
        for flag in flags:
            for rule in self.flags:
                if rule.meets(flag):
                    yield Breach(flag, None, rule.consequence, rule.because)


def _gopher() -> tuple[Bound, ...]:
    repeated = "It repeats itself (Gopher, table A1)."
    return (
        Bound("words", "drop", "It has fewer than 50 or more than 100,000 words (Gopher).", 50, 100_000),
        Bound("mean_word_length", "drop", "Its words have fewer than 3 or more than 10 characters (Gopher).", 3, 10),
        Bound("hashes_per_word", "drop", "It has more than a # in ten words (Gopher).", None, 0.1),
        Bound("ellipses_per_word", "drop", "It has more than an ellipsis in ten words (Gopher).", None, 0.1),
        Bound("bullet_lines", "drop", "More than 90 % of its lines begin with a bullet (Gopher).", None, 0.9),
        Bound("ellipsis_lines", "drop", "More than 30 % of its lines end with an ellipsis (Gopher).", None, 0.3),
        Bound("alphabetic_words", "drop", "Fewer than 80 % of its words have a letter (Gopher).", 0.8),
        Bound("stop_words", "drop", "It has fewer than two of its language's stop words (Gopher).", 2),
        Bound("duplicate_lines", "drop", repeated, None, 0.3),
        Bound("duplicate_paragraphs", "drop", repeated, None, 0.3),
        Bound("duplicate_line_characters", "drop", repeated, None, 0.2),
        Bound("duplicate_paragraph_characters", "drop", repeated, None, 0.2),
        *(
            Bound(f"top_{n}gram_characters", "drop", repeated, None, limit)
            for n, limit in ((2, 0.20), (3, 0.18), (4, 0.16))
        ),
        *(
            Bound(f"duplicate_{n}gram_characters", "drop", repeated, None, limit)
            for n, limit in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
        ),
    )


_C4 = (
    Bound("sentences", "drop", "It has fewer than five sentences in lines that end with one (C4).", 5),
    Bound("curly_brackets", "drop", "It has curly brackets (C4).", None, 0.0),
)
# FineWeb's paper (section 3.6) has 0.1 for the characters in repeated lines, where Gopher has 0.2; datatrove's
# `FineWebQualityFilter`, at 0.10.1, has 0.01 as its default. The paper says what it measured, so that is the bound.
_FINEWEB = (
    Bound("terminal_lines", "drop", "Fewer than 12 % of its lines end with punctuation (FineWeb).", 0.12),
    Bound("duplicate_line_characters", "drop", "More than 10 % of it is in repeated lines (FineWeb).", None, 0.1),
    Bound("short_lines", "drop", "More than 67 % of its lines have at most 30 characters (FineWeb).", None, 0.67),
    Bound(
        "line_breaks_per_word", "drop", "It is a list: more than three line breaks in ten words (FineWeb).", None, 0.3
    ),
)
_LOREM = FlagRule("lorem ipsum", "drop", "It is filler text (C4).")
_EMPTY = FlagRule("empty", "drop", "It has no text.")
_MIXED = FlagRule("mixed languages", "flag", "It is in several languages.")
_BROKEN = Bound(
    "replacement_characters", "quarantine", "More than 1 % of its characters were lost when it was decoded.", None, 0.01
)
_MANUALS = (
    Bound("words", "drop", "It has fewer than five words.", 5),
    _BROKEN,
    Bound("alphabetic_words", "quarantine", "Fewer than 20 % of its words have a letter: a table or a dump.", 0.2),
    Bound("mean_word_length", "quarantine", "Its words have more than 25 characters: fused, or no words.", None, 25),
    Bound("longest_word", "flag", "It has a word of more than 1,000 characters.", None, 1000),
    Bound("duplicate_line_characters", "quarantine", "More than 80 % of it is in repeated lines.", None, 0.8),
    Bound("top_2gram_characters", "quarantine", "Half of it is one phrase of two words.", None, 0.5),
    Bound("duplicate_10gram_characters", "flag", "More than half of it stands in it before.", None, 0.5),
    Bound("navigation_characters", "flag", "More than half of it was navigation.", None, 0.5),
    Bound("furniture_characters", "flag", "More than 30 % of it were headers and footers.", None, 0.3),
    Bound("boilerplate_characters", "flag", "More than half of it was boilerplate.", None, 0.5),
    Bound("bits_per_byte", "quarantine", "A language model makes nothing of it.", None, 4.0),
)

PROFILES: Mapping[str, Profile] = {
    "web": Profile(
        ("repair", "navigation", "boilerplate", "language", "measures", "perplexity"),
        (*_gopher(), *_C4, *_FINEWEB, _BROKEN),
        (_EMPTY, _LOREM, _MIXED),
    ),
    "manuals": Profile(
        ("repair", "page_furniture", "navigation", "boilerplate", "language", "measures", "perplexity"),
        _MANUALS,
        (_EMPTY, FlagRule("lorem ipsum", "flag", "It has filler text."), _MIXED),
    ),
    "code": Profile(
        ("repair", "code_quality", "perplexity"),
        (
            Bound("parses", "flag", "It does not parse.", 1),
            Bound("unmatched_brackets", "flag", "More than 5 % of its brackets have no partner.", None, 0.05),
            Bound(
                "data_characters", "drop", "More than half of it is data in hexadecimal, numbers or base64.", None, 0.5
            ),
            Bound("longest_line", "flag", "It has a line of more than 1,000 characters.", None, 1000),
            Bound("mean_line_length", "quarantine", "Its lines have more than 200 characters.", None, 200),
            Bound("comment_characters", "flag", "More than 80 % of it is comment.", None, 0.8),
        ),
        (
            FlagRule("generated", "drop", "A program wrote it, as it says."),
            FlagRule("lock file", "drop", "It is a lock file."),
            FlagRule("minified", "drop", "It is minified."),
            FlagRule("python 2", "flag", "It is Python 2."),
            FlagRule("licence:", "flag", "It says what licence it is under."),
        ),
    ),
    "records": Profile(
        ("repair", "language", "measures", "perplexity"),
        (_BROKEN, Bound("words", "drop", "It has no word.", 1)),
        (_EMPTY, _MIXED),
    ),
    "mail": Profile(
        ("repair", "boilerplate", "language", "measures", "perplexity"),
        (
            _BROKEN,
            Bound("words", "drop", "It has fewer than three words.", 3),
            Bound("alphabetic_words", "quarantine", "Fewer than 30 % of its words have a letter: a log.", 0.3),
            Bound(
                "longest_word", "quarantine", "It has a word of more than 2,000 characters: an attachment.", None, 2000
            ),
            Bound("boilerplate_characters", "flag", "More than half of it was boilerplate.", None, 0.5),
        ),
        (_EMPTY, _MIXED),
    ),
}
"""By name."""
