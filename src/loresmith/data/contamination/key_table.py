"""A table of hashes in which those of long texts are looked up by the million."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FEWEST_BITS, _MOST_BITS = 16, 26
_SLOTS_PER_KEY = 16


class KeyTable:
    """Entries under 64-bit keys; legend: N entries, K different keys, M keys that are looked up.

    The highest bits of a key say where in a table of flags to look first, so that most of the keys that are not there
    cost one access to memory; the others are searched for. It takes 8 bytes a key, 16 to 32 of flags, and 4 an entry.

    Args:
        keys: (N,) of the entries, in any order.

    Attributes:
        order: (N,) the entries' numbers by ascending key; those of equal keys as they were given.
        first: (K + 1,) where in `order` the entries of each key begin.
    """

    def __init__(self, keys: NDArray[np.uint64]) -> None:
        self.order = np.argsort(keys, kind="stable").astype(np.uint32)
        ascending = keys[self.order]
        begins = np.flatnonzero(np.r_[True, ascending[1:] != ascending[:-1]]) if len(keys) else np.empty(0, np.intp)
        self.first = np.r_[begins, len(keys)]
        self._keys = ascending[begins]
        bits = int(np.clip((_SLOTS_PER_KEY * len(begins)).bit_length(), _FEWEST_BITS, _MOST_BITS))
        self._shift = np.uint64(64 - bits)
        self._flags = np.zeros(1 << bits, dtype=bool)
        self._flags[(self._keys >> self._shift).view(np.int64)] = True

    def find(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Which of some keys are there: their places among those given, and their places among the table's own."""
        if not len(self._keys):
            return np.empty(0, np.intp), np.empty(0, np.intp)
        likely = np.flatnonzero(self._flags[(keys >> self._shift).view(np.int64)])
        wanted = keys[likely]
        places = np.searchsorted(self._keys, wanted)
        places[places == len(self._keys)] = 0
        known = self._keys[places] == wanted
        return likely[known], places[known]

    def entries(self, key: int) -> NDArray[np.uint32]:
        """The entries of a key, given by its place."""
        return self.order[self.first[key] : self.first[key + 1]]

    def spread(self, keys: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.uint32]]:
        """All entries of some keys: for each entry, which of the keys given it is of, and its number."""
        counts = self.first[keys + 1] - self.first[keys]
        ends = np.cumsum(counts)
        each = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)
        return np.repeat(np.arange(len(keys)), counts), self.order[np.repeat(self.first[keys], counts) + each]
