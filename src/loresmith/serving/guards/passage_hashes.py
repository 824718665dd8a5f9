"""Hashes of runs of words, the same for a training text and for an answer that repeats it.

A text is taken as it looks (`folding`), in small letters; a word is a run of letters, digits and underscores, a Chinese
or Japanese character one of its own (`loresmith.data.duplicates.words`), so that case, punctuation, white space and
look-alikes do not matter, and neither does any model's vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loresmith.data.contamination.run_hashes import RunHashes
from loresmith.data.duplicates.words import hashed_words
from loresmith.serving.guards.folding import folded

SEED_WORDS = 8
"""Words of the short runs by which is known, while an answer is written, that it may be going to repeat something."""

NORMALISATION = 1
"""Raised whenever the same text would have other hashes."""


@dataclass(frozen=True)
class WordRuns:
    """The words of a text in W words, as numbers.

    Attributes:
        words: (W,) the words' hashes.
        starts, ends: (W,) where each stands in the text.
    """

    words: NDArray[np.uint64]
    starts: NDArray[np.intp]
    ends: NDArray[np.intp]

    def of(self, length: int) -> NDArray[np.uint64]:
        """(W - length + 1,) the hash of the run of so many words that begins at each word."""
        return RunHashes(self.words).of(length)


def word_runs(text: str) -> WordRuns:
    """The words of a text that is in the letters that it looks like."""
    found = hashed_words([text.lower()])
    return WordRuns(found.hashes, found.starts - 1, found.ends - 1)


def looking(text: str) -> str:
    """A text in the letters that it looks like, as long as it is in small letters."""
    looks = folded(text)
    return text if looks is None else looks.text
