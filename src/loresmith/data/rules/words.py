"""The words of a text, numbered, so that what depends on words is worked out once for each different one.

A word is what white space divides, as the measures of Gopher have it; a Chinese or Japanese character is a word of its
own. Numbers are for lower case: a repeated phrase is repeated, however it begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ALONE = re.compile("[\u2e80-\u30ff\u31f0-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U00031fff]")


@dataclass(frozen=True)
class Words:
    """The words of a text; legend: N words, V different ones.

    Attributes:
        different: each word once, in the order in which they first stand.
        numbers: (N,) the place of each word among the different ones.
        lengths: (V,) of the different ones, in characters.
    """

    different: tuple[str, ...]
    numbers: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    def count(self, chosen: NDArray[np.bool_]) -> int:
        """How many words are among some of the different ones; `chosen`: (V,)."""
        return int(np.count_nonzero(chosen[self.numbers]))


def words_of(folded: str) -> Words:
    """The words of a text in lower case."""
    if not folded.isascii() and _ALONE.search(folded):
        folded = _ALONE.sub(r" \g<0> ", folded)
    words = folded.split()
    places = dict.fromkeys(words, 0)
    for place, word in enumerate(places):
        places[word] = place
    numbers = np.fromiter(map(places.__getitem__, words), dtype=np.int64, count=len(words))
    lengths = np.fromiter(map(len, places), dtype=np.int64, count=len(places))
    return Words(tuple(places), numbers, lengths)
