"""Which languages a document is written in, by eldc 0.4 (n-grams of letters, offline, 60 languages).

Paragraph by paragraph, as a document may quote another language, and as eldc looks at the beginning of what it is given
only. A paragraph counts that is prose: at least 24 letters and 4 words, and letters and white space for three quarters
of its characters; code, tables and lists of numbers have no language, and eldc would name one. Short paragraphs that
follow one another are looked at together. The document's language is the one most bytes of such paragraphs are in;
"" where there are none. Source code is left alone.

| score | what it is |
| --- | --- |
| `language_share` | bytes of paragraphs in the document's language, of those in any |
| `language_confidence` | eldc's score of it, weighted by bytes, from 0 to 1 |
| `known_language_bytes` | bytes of paragraphs in any language, of all of the document's |
| `language_share_de`, ... | the share of each language that has at least 2 % |

Flags: `language:de` what it is; `mixed languages` where another language has at least 15 %.
"""

from __future__ import annotations

import re
import string
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Protocol

from loresmith.data.rules.character_counts import CharacterCounts
from loresmith.data.rules.finding import Finding, Pages
from loresmith.data.rules.source_documents import is_source_code

LETTERS, WORDS = 24, 4
MIXED = 0.15
_NAMED = 0.02
_TOGETHER = 160  # characters: shorter paragraphs are joined with their neighbours
_LONGEST = 2000  # characters; where paragraphs are longer, they are looked at in parts
_ASCII_LETTERS = string.ascii_letters.encode()
_ASCII_SPACES = string.whitespace.encode()
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")


@dataclass(frozen=True)
class LanguageSpan:
    """Paragraphs in one language.

    Attributes:
        start, end: characters of the text.
        language: by ISO 639-1.
        confidence: eldc's score, from 0 to 1.
    """

    start: int
    end: int
    language: str
    confidence: float


class Language:
    """Says which languages a document is in."""

    name = "language"

    def look(self, text: str, language: str, media_type: str, pages: Pages) -> Finding:
        if is_source_code(language, media_type):
            return Finding()
        sizes: dict[str, int] = defaultdict(int)
        sure: dict[str, float] = defaultdict(float)
        for span in language_spans(text):
            size = len(text[span.start : span.end].encode())
            sizes[span.language] += size
            sure[span.language] += size * span.confidence
        if not sizes:
            return Finding({"known_language_bytes": 0.0})
        total = sum(sizes.values())
        ranked = sorted(sizes, key=lambda name: (-sizes[name], name))
        most = ranked[0]
        scores = {
            "language_share": sizes[most] / total,
            "language_confidence": sure[most] / sizes[most],
            "known_language_bytes": total / len(text.encode()),
        }
        scores |= {f"language_share_{name}": sizes[name] / total for name in ranked if sizes[name] >= _NAMED * total}
        mixed = len(ranked) > 1 and sizes[ranked[1]] >= MIXED * total
        return Finding(scores, (f"language:{most}", *(("mixed languages",) if mixed else ())))


def language_spans(text: str) -> Iterator[LanguageSpan]:
    """The stretches of prose of a text whose language eldc is sure of, in order."""
    detect = _detector().detect_details
    for start, end in _stretches(text):
        stretch = text[start:end]
        if not _is_prose(stretch):
            continue
        found = detect(stretch)
        if found.reliable and found.language != "und":
            yield LanguageSpan(start, end, found.language, min(1.0, float(found.scores[found.language])))


def _stretches(text: str) -> Iterator[tuple[int, int]]:
    """Paragraphs, short ones joined, long ones in parts."""
    first = -1
    start = 0
    for end, after in [
        *((found.start(), found.end()) for found in _BLANK_LINES.finditer(text)),
        (len(text), len(text)),
    ]:
        if end - start >= _TOGETHER:
            if first >= 0:
                yield first, start
            for part in range(start, end, _LONGEST):
                yield part, min(end, part + _LONGEST)
            first = -1
        elif first < 0:
            first = start
        elif end - first >= _TOGETHER:
            yield first, end
            first = -1
        start = after
    if first >= 0:
        yield first, len(text)


def _is_prose(text: str) -> bool:
    counts = CharacterCounts(text)
    letters = counts.of(_ASCII_LETTERS, str.isalpha)
    if letters < LETTERS:
        return False
    spaces = counts.of(_ASCII_SPACES, str.isspace)
    # A script without spaces has a word in every other character.
    words = spaces + 1 if text.isascii() or spaces * 20 > len(text) else letters // 2
    return words >= WORDS and 4 * (letters + spaces) >= 3 * len(text)


class _Result(Protocol):
    language: str
    reliable: bool
    scores: dict[str, float]


class _Detector(Protocol):
    def detect_details(self, text: str) -> _Result: ...


@lru_cache(maxsize=1)
def _detector() -> _Detector:
    """One with settings of its own, whatever else uses the library. Its tables take 70 MB of disk and 4 of memory."""
    eldc = import_module("eldc")
    eldc.init()
    detector: _Detector = eldc.instance()
    return detector
