"""Hashes of every run of so many words, for several lengths from the same sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loresmith.data.duplicates.words import powers_of_base


class RunHashes:
    """The runs of a sequence of W words.

    A run's hash is a polynomial of its words' hashes modulo 2**64, the difference of two running sums (Karp and Rabin,
    1987), so that a further length costs a subtraction and a multiplication a word. Two runs of equal hashes are the
    same words almost always, and never need be taken for the same without a look at the words.

    Args:
        words: (W,) the words' hashes.
    """

    def __init__(self, words: NDArray[np.uint64]) -> None:
        powers, self._inverses = powers_of_base(len(words))
        self._sums = np.zeros(len(words) + 1, dtype=np.uint64)
        np.cumsum(words * powers[: len(words)], out=self._sums[1:])

    def of(self, length: int) -> NDArray[np.uint64]:
        """(W - length + 1,) the hash of the run that begins at each word; empty if there are too few words."""
        runs = len(self._sums) - length
        if runs <= 0:
            return np.empty(0, dtype=np.uint64)
        hashes = self._sums[length:] - self._sums[:runs]
        hashes *= self._inverses[:runs]
        return hashes
