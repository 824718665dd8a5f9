"""Groups of near-identical documents: locality-sensitive hashing finds pairs, and union-find makes groups of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loresmith.data.duplicates.minhash import HASHES
from loresmith.data.mixing import mix

BANDS = 28
"""With 28 bands of 4 hashes a pair of similarity 0.7 shares a band 99.9 times in 100; what shares one is compared."""


class Clusters:
    """Union-find over numbers. A cluster is named by its smallest member; a number never joined is one of its own."""

    def __init__(self) -> None:
        self._parents: dict[int, int] = {}

    def join(self, left: int, right: int) -> None:
        left, right = self.find(left), self.find(right)
        self._parents[max(left, right)] = self._parents[min(left, right)] = min(left, right)

    def find(self, member: int) -> int:
        parents = self._parents
        while (parent := parents.get(member, member)) != member:
            parents[member] = member = parents[parent]
        return member

    def joined(self) -> dict[int, list[int]]:
        """The members of each cluster of more than one, ascending, by its name."""
        members: dict[int, list[int]] = {}
        for member in sorted(self._parents):
            members.setdefault(self.find(member), []).append(member)
        return {name: some for name, some in members.items() if len(some) > 1}


def band_keys(signatures: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """(BANDS, documents) a hash of the part of each signature that is in each band."""
    documents = len(signatures)
    keys = np.zeros((BANDS, documents), dtype=np.uint64)
    for place in range(HASHES // BANDS):
        keys = mix(keys + signatures[:, place :: HASHES // BANDS].T)
    return keys
