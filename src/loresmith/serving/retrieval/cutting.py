"""Cutting a text into passages: so many words each, with an overlap, and never across the border of a page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

LONGEST_WORD = 24
"""Characters; what is longer without a space counts as several words, so that no passage is without bounds."""

_WORD = re.compile(
    # A character of a script without spaces is a word of its own.
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]"
    rf"|[^\s\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]{{1,{LONGEST_WORD}}}"
)
_SENTENCE_END = ".!?:;。！？"


def cut_passages(text: str, words: int, overlap: int, borders: Sequence[int] = ()) -> Iterator[tuple[int, int]]:
    """The passages of a text, as characters start .. end - 1 of it, in order.

    Every character that is not white space is in at least one, and the text of a passage is the text itself.

    Args:
        words: in a passage, at most; its last quarter is looked through for the end of a paragraph or a sentence, and
            a rest of less than another quarter goes with it.
        overlap: how many words of a passage stand again at the beginning of the next.
        borders: characters before which no passage goes on, ascending: where pages begin.
    """
    for begin, end in pairwise([0, *borders, len(text)]):
        units = [match.span() for match in _WORD.finditer(text, begin, end)]
        first = 0
        while first < len(units):
            last = _end_of(text, units, first, words)
            yield units[first][0], units[last - 1][1]
            if last == len(units):
                break
            first = max(last - overlap, first + 1)


def _end_of(text: str, units: Sequence[tuple[int, int]], first: int, words: int) -> int:
    """Behind which word the passage ends that begins with the word `first`."""
    if len(units) - first <= words + words // 4:
        return len(units)
    most = first + words
    # Of equally good ends the last.
    return max(range(first + max(1, words - words // 4), most + 1), key=lambda end: (_break(text, units, end), end))


def _break(text: str, units: Sequence[tuple[int, int]], end: int) -> int:
    """How good a place for an end is between a word and the next: of a paragraph, a sentence or line, or none."""
    gap = text[units[end - 1][1] : units[end][0]]
    if gap.count("\n") > 1:
        return 3
    ended = text[units[end - 1][1] - 1] in _SENTENCE_END
    return 2 if ended and gap else 1 if "\n" in gap else 0
