"""What tells extracted text from text: measures of a page, alone and against a second extractor's.

The thresholds are from 592 pages of 120 documents of Debian's documentation packages, which both extractors read well:
there they agree on 0.964 of the letters at the least (0.994 at the first percentile), and the mean length of words
differs by at most 1.17 times.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

ENOUGH_LETTERS = 100
"""Letters (for `garbled`, characters) below which a page is not judged: on a title page one odd word decides."""

MOST_SAMPLED = 8
"""Pages of a long file that are extracted twice. Eight see a fault that every fourth page has in nine files of ten."""

LEAST_AGREEMENT = 0.85
"""Share of letters and digits, counted without order, that both extractors must have found."""

MOST_FUSED = 1.25
"""How many times as long the words may be on average as the second extractor has them."""

LONGEST_WORD = 30
"""Letters of a word that is not fused; longer ones exist (German has a few hundred) and are rare."""

MOST_IN_LONG_WORDS = 0.1
"""Share of a page's letters that may stand in words longer than that."""

LONGEST_USUAL = 25
"""Letters of the word that a letter of a fused page stands in, on average. Prose has 6 to 12; the most in those
documents is 24, on a page of an index of names of functions."""

LEAST_TEXT = 0.3
"""Share of letters and digits among visible characters, but for leaders and rules. Formulas and code have 0.5 and more;
a font without a map to Unicode gives punctuation, private characters or boxes."""

# Of writing systems that put no spaces between words: Thai to Myanmar, Khmer, CJK with kana.
_SPACED = re.compile(
    "[^\\W\\d_\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\uabff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_CAPITAL = re.compile("(?=[A-Z])")
_VISIBLE = re.compile(r"[^\s.…·•_=*|+-]")  # not what leads to a page number, rules a table or marks an item
_ALPHANUMERIC = re.compile(r"[^\W_]")  # no private characters, and no replacement characters


def sampled(pages: Sequence[int]) -> list[int]:
    """Pages to be extracted twice: a quarter, evenly spread, but at least two and at most `MOST_SAMPLED`."""
    count = min(len(pages), MOST_SAMPLED, max(2, len(pages) // 4))
    return [pages[(2 * at + 1) * len(pages) // (2 * count)] for at in range(count)]


def doubt_about(text: str, other: str | None) -> str:
    """What is wrong with a page's text: "garbled", "extractors disagree", "fused words", or empty for nothing.

    Args:
        other: the same page's text by the second extractor; None to judge the text by itself.
    """
    if _garbled(text):
        return "garbled"
    words = _SPACED.findall(text)
    letters = sum(map(len, words))
    if letters >= ENOUGH_LETTERS:
        too_long = sum(len(word) for word in words if _too_long(word))
        if too_long > MOST_IN_LONG_WORDS * letters or sum(len(word) ** 2 for word in words) > LONGEST_USUAL * letters:
            return "fused words"
        if other is not None:
            other_words = _SPACED.findall(other)
            other_letters = sum(map(len, other_words))
            if other_words and letters / len(words) > MOST_FUSED * other_letters / len(other_words):
                return "fused words"
    if other is not None and _disagree(text, other):
        return "extractors disagree"
    return ""


def _too_long(word: str) -> bool:
    """Names in programs are long, too: their parts begin with capitals."""
    return len(word) > LONGEST_WORD and max(map(len, _CAPITAL.split(word))) > LONGEST_WORD


def _garbled(text: str) -> bool:
    visible = len(_VISIBLE.findall(text))
    if visible < ENOUGH_LETTERS:
        return False
    return len(_ALPHANUMERIC.findall(text)) < LEAST_TEXT * visible


def _disagree(text: str, other: str) -> bool:
    ours, theirs = _letters(text), _letters(other)
    most = max(ours.total(), theirs.total())
    return most >= ENOUGH_LETTERS and (ours & theirs).total() < LEAST_AGREEMENT * most


def _letters(text: str) -> Counter[str]:
    """Letters and digits, with ligatures and other presentation forms (as of Arabic) taken apart."""
    return Counter(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))
