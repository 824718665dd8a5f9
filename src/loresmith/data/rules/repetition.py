"""How much of a text repeats itself: the repetition measures of Gopher (Rae et al., "Scaling Language Models", 2021,
table A1).

The paper leaves open what is counted. Here a line, a paragraph or an n-gram of words counts as a duplicate from its
second occurrence on, and no character counts twice, so that each fraction lies between 0 and 1; characters of n-grams
are those of their words, without the white space between.

| score | what it is | Gopher drops above |
| --- | --- | --- |
| `duplicate_lines` | lines that stand before, of all lines with ink | 0.30 |
| `duplicate_paragraphs` | the same for paragraphs, divided by blank lines | 0.30 |
| `duplicate_line_characters` | characters in such lines, of those in all lines with ink | 0.20; FineWeb's paper: 0.10 |
| `duplicate_paragraph_characters` | the same for paragraphs | 0.20 |
| `top_2gram_characters` ... `top_4gram_characters` | in the n-gram that is there most often, if twice | 0.20 ... 0.16 |
| `duplicate_5gram_characters` ... `duplicate_10gram_characters` | in n-grams that stand before | 0.15 ... 0.10 |
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loresmith.data.rules.words import Words

TOP = (2, 3, 4)
DUPLICATE = (5, 6, 7, 8, 9, 10)
_PACKED_BITS = 63
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")


def passage_repetition(text: str, lines: Sequence[str]) -> dict[str, float]:
    """The measures of lines and paragraphs.

    Args:
        lines: those of the text that have ink, without white space around them.
    """
    scores = _duplicates("line", lines)
    paragraphs = [paragraph for part in _BLANK_LINES.split(text) if (paragraph := part.strip())]
    return scores | _duplicates("paragraph", paragraphs)


def _duplicates(name: str, passages: Sequence[str]) -> dict[str, float]:
    if not passages:
        return {}
    different = dict.fromkeys(passages)
    characters = sum(map(len, passages))
    return {
        f"duplicate_{name}s": 1 - len(different) / len(passages),
        f"duplicate_{name}_characters": 1 - sum(map(len, different)) / characters,
    }


def ngram_repetition(words: Words) -> dict[str, float]:
    """The measures of n-grams.

    An n-gram can only be there twice if its first and its last n - 1 words are: from each length to the next only
    those are looked at, each by the numbers of these two, so that nothing is hashed and no two n-grams are confused.
    """
    if not len(words):
        return {}
    lengths = words.lengths[words.numbers]
    total = int(lengths.sum())
    names = {n: f"top_{n}gram_characters" for n in TOP} | {n: f"duplicate_{n}gram_characters" for n in DUPLICATE}
    scores = dict.fromkeys(names.values(), 0.0)
    # The number of the n-gram that begins at each word; -1 where it is there only once.
    grams = np.where(np.bincount(words.numbers)[words.numbers] > 1, words.numbers, -1)
    for n in range(2, max(DUPLICATE) + 1):
        places, starts = _repeated(grams)
        if not len(places):
            break
        if n in TOP:
            scores[names[n]] = _top(places, starts, lengths, n) / total
        if n in DUPLICATE:
            again = np.ones(len(places), dtype=bool)
            again[starts] = False
            scores[names[n]] = _covered(places[again], lengths, n) / total
        groups = np.zeros(len(places), dtype=np.int64)
        groups[starts[1:]] = 1
        grams = np.full(len(grams) - 1, -1, dtype=np.int64)
        grams[places] = np.cumsum(groups)
    return scores


def _repeated(grams: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the n-grams of one word more begin that are there more than once, those of one kind together and ascending,
    and where each kind begins among them; `grams`: the number of the shorter n-gram that begins at each word, or -1."""
    places = np.flatnonzero((grams[:-1] >= 0) & (grams[1:] >= 0))
    if not len(places):
        return places, places
    base = int(grams.max()) + 1
    keys = grams[places] * base + grams[places + 1]
    bits = len(grams).bit_length()
    if 2 * base.bit_length() + bits <= _PACKED_BITS:
        # Key and place fit one number, and numbers alone sort several times faster.
        keys = np.sort(keys << bits | places)
        places = keys & ((1 << bits) - 1)
        keys >>= bits
    else:
        order = np.argsort(keys, kind="stable")
        keys, places = keys[order], places[order]
    same = keys[1:] == keys[:-1]
    kept = np.r_[same, False] | np.r_[False, same]
    return places[kept], np.flatnonzero(~np.r_[False, same][kept])


def _top(places: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64], n: int) -> int:
    """Characters in the n-gram that is there most often; of several the longest, of these the first."""
    counts = np.diff(np.r_[starts, len(places)])
    most = np.flatnonzero(counts == counts.max())
    first = places[starts[most]]
    ends = np.r_[0, np.cumsum(lengths)]
    chosen = most[np.lexsort((first, ends[first] - ends[first + n]))[0]]
    return _covered(places[starts[chosen] : starts[chosen] + counts[chosen]], lengths, n)


def _covered(places: NDArray[np.int64], lengths: NDArray[np.int64], n: int) -> int:
    """Characters of the words in n-grams that begin at some places, each word once."""
    changes = np.zeros(len(lengths) + 1, dtype=np.int64)
    changes[places] += 1
    changes[places + n] -= 1
    return int(lengths[np.cumsum(changes[:-1]) > 0].sum())
