"""What published filters for web text measure, as scores: Gopher's quality rules (Rae et al., "Scaling Language
Models", 2021, appendix A.1), C4's (Raffel et al., "Exploring the Limits of Transfer Learning", 2020, section 2.2) and
FineWeb's (Penedo et al., "The FineWeb Datasets", 2024, section 3.6), with Gopher's repetition (see `repetition`).

A line has ink, and ends with a line feed; white space around it does not count. Fractions are from 0 to 1.

| score | what it is | source and its bound |
| --- | --- | --- |
| `characters` | of the text | |
| `words` | divided by white space (Chinese and Japanese: characters), with a letter or digit | Gopher: 50 to 100,000 |
| `mean_word_length` | of these words, in characters | Gopher: 3 to 10 |
| `longest_word` | characters | C4's code: 1,000 in a line |
| `hashes_per_word` | `#` for each word or lone symbol | Gopher: 0.1 |
| `ellipses_per_word` | `...` or `…` for each word or lone symbol | Gopher: 0.1 |
| `alphabetic_words` | with a letter (`3.2e-01` has none), of all words and lone symbols | Gopher: at least 0.8 |
| `stop_words` | how many of the eight of the language are there; left out where it has none | Gopher: at least 2 |
| `lines` | with ink | |
| `bullet_lines` | lines that begin with a bullet, `-` or `*` | Gopher: 0.9 |
| `ellipsis_lines` | lines that end with an ellipsis | Gopher: 0.3 |
| `terminal_lines` | lines that end with a sentence's punctuation, or a quote | C4 keeps them; FineWeb: at least 0.12 |
| `short_lines` | lines of at most 30 characters | FineWeb: 0.67 |
| `line_breaks_per_word` | line feeds for each word or lone symbol | FineWeb's code: 0.3 |
| `short_word_lines` | lines of fewer than 3 words | C4 drops these lines |
| `sentences` | sentence ends within C4's lines | C4: at least 5 |
| `curly_brackets` | `{` and `}`, of all characters | C4: none |
| `javascript_lines` | lines that name JavaScript | C4 drops these lines |
| `policy_lines` | lines about terms of use, privacy or cookies | C4's code drops these lines |
| `digit_characters` | digits, of all characters | |
| `upper_case_letters` | of all letters that have a case | |
| `replacement_characters` | U+FFFD, of all characters | |

The flag `lorem ipsum` is C4's; `empty` says that nothing has ink.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from loresmith.data.rules.character_counts import CharacterCounts
from loresmith.data.rules.finding import Finding, Pages
from loresmith.data.rules.repetition import ngram_repetition, passage_repetition
from loresmith.data.rules.stop_words import STOP_WORDS
from loresmith.data.rules.words import Words, words_of

TERMINAL = (".", "?", "!", '"', "'", "”", "’", "»", "…", "。", "？", "！", "।", "؟", "۔")
"""What a sentence ends with, or the quote around it."""

_ENDS = frozenset(TERMINAL)
_BULLETS = ("-", "*", "•", "‣", "▪", "●", "○", "◦", "–", "·")
_SHORT_LINE = 30
_SYMBOL, _NUMBER, _LETTERED = range(3)
_FEW_WORDS = 3
_SENTENCE_END = re.compile(r"(?<![.!?])[.!?]++[\"'”’)\]]*+(?=\s|\Z)|[。？！।؟۔]")
_LETTER = re.compile(r"[^\W\d_]")
_DIGIT = re.compile(r"\d")
_EXPONENT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)e[-+]?[0-9]+[,;]?")
_DIGITS = string.digits.encode()
_UPPER = string.ascii_uppercase.encode()
_LOWER = string.ascii_lowercase.encode()
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


class Measures:
    """Measures a text as filters for web text do, and repairs nothing."""

    name = "measures"

    def look(self, text: str, language: str, media_type: str, pages: Pages) -> Finding:
        lines = [line for raw in text.split("\n") if (line := raw.strip())]
        if not lines:
            return Finding({"characters": float(len(text)), "words": 0.0, "lines": 0.0}, ("empty",))
        folded = text.lower()
        words = words_of(folded)
        scores = {
            **_characters(text),
            **_words(text, words, language),
            **_lines(text, lines),
            **_web_page(text, folded, lines),
            **passage_repetition(text, lines),
            **ngram_repetition(words),
        }
        return Finding(scores, ("lorem ipsum",) if "lorem ipsum" in folded else ())


def _characters(text: str) -> dict[str, float]:
    counts = CharacterCounts(text)
    digits = counts.of(_DIGITS, str.isdecimal)
    upper = counts.of(_UPPER, str.isupper)
    cased = upper + counts.of(_LOWER, str.islower)
    scores = {
        "characters": float(len(text)),
        "digit_characters": digits / len(text),
        "replacement_characters": text.count("\ufffd") / len(text),
    }
    if cased:
        scores["upper_case_letters"] = upper / cased
    return scores


def _words(text: str, words: Words, language: str) -> dict[str, float]:
    kinds = np.fromiter(map(_kind, words.different), dtype=np.uint8, count=len(words.different))
    alphabetic, real = kinds == _LETTERED, kinds != _SYMBOL
    count = words.count(real)
    scores = {
        "words": float(count),
        "longest_word": float(words.lengths.max()),
        "alphabetic_words": words.count(alphabetic) / len(words),
        "hashes_per_word": text.count("#") / len(words),
        "ellipses_per_word": (text.count("...") + text.count("…")) / len(words),
        "line_breaks_per_word": text.count("\n") / len(words),
    }
    if count:
        per_word = np.where(real, words.lengths, 0)[words.numbers]
        scores["mean_word_length"] = int(per_word.sum()) / count
    if language in STOP_WORDS:
        scores["stop_words"] = float(len(STOP_WORDS[language].intersection(words.different)))
    return scores


@lru_cache(maxsize=1 << 17)
def _kind(word: str) -> int:
    if word.isalpha() or (_LETTER.search(word) is not None and _EXPONENT.fullmatch(word) is None):
        return _LETTERED
    return _SYMBOL if _DIGIT.search(word) is None else _NUMBER


def _lines(text: str, lines: Sequence[str]) -> dict[str, float]:
    count = len(lines)
    first = Counter([line[0] for line in lines])
    last = Counter([line[-1] for line in lines])
    dots = sum(line.endswith("...") for line in lines) if "..." in text else 0
    return {
        "lines": float(count),
        "bullet_lines": sum(first[bullet] for bullet in _BULLETS) / count,
        "ellipsis_lines": (dots + last["…"]) / count,
        "terminal_lines": sum(last[end] for end in TERMINAL) / count,
        "short_lines": sum([len(line) <= _SHORT_LINE for line in lines]) / count,
    }


def _web_page(text: str, folded: str, lines: Sequence[str]) -> dict[str, float]:
    long = [line for line in lines if len(line.split(None, _FEW_WORDS - 1)) == _FEW_WORDS]
    ended = [line for line in long if line[-1] in _ENDS]
    # Of a line that ends with a quote alone there may be no end of a sentence in it; it is one nevertheless.
    quoted = sum(_SENTENCE_END.search(line) is None for line in ended if line[-1] not in ".?!")
    return {
        "short_word_lines": (len(lines) - len(long)) / len(lines),
        "sentences": float(len(_SENTENCE_END.findall("\n".join(ended))) + quoted),
        "curly_brackets": (text.count("{") + text.count("}")) / len(text),
        "javascript_lines": _naming(("javascript",), folded, lines),
        "policy_lines": _naming(_POLICY, folded, lines),
    }


def _naming(phrases: Sequence[str], folded: str, lines: Sequence[str]) -> float:
    there = [phrase for phrase in phrases if phrase in folded]
    if not there:
        return 0.0
    return sum(any(phrase in line.lower() for phrase in there) for line in lines) / len(lines)
