"""Groups of near-identical documents: locality-sensitive hashing finds pairs, and union-find makes groups of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from loresmith.data.duplicates.minhash import HASHES, similarity
from loresmith.data.mixing import mix

BANDS = 28
"""With 28 bands of 4 hashes a pair of similarity 0.7 shares a band 99.9 times in 100; what shares one is compared."""

_COMPARED_AT_ONCE = 1 << 16


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


def join_similar(clusters: Clusters, signatures: NDArray[np.uint32], threshold: float) -> None:
    """Join documents whose estimated similarity reaches a threshold.

    Clusters are transitive: what is similar to the same document is together.

    Args:
        clusters: over the documents, in the order of their signatures.
        signatures: uint32 of shape (documents, HASHES).
        threshold: Jaccard similarity of word shingles, from 0 to 1.
    """
    if len(signatures) < 2:
        return
    pairs = _candidates(signatures)
    for start in range(0, len(pairs), _COMPARED_AT_ONCE):
        left, right = pairs[start : start + _COMPARED_AT_ONCE].T
        alike = similarity(signatures[left], signatures[right]) >= threshold
        for one, other in zip(left[alike].tolist(), right[alike].tolist(), strict=True):
            clusters.join(one, other)


def band_keys(signatures: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """(BANDS, documents) a hash of the part of each signature that is in each band."""
    documents = len(signatures)
    keys = np.zeros((BANDS, documents), dtype=np.uint64)
    for place in range(HASHES // BANDS):
        keys = mix(keys + signatures[:, place :: HASHES // BANDS].T)
    return keys


def neighbours(keys: NDArray[np.uint64], numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of documents that have the same key. Of all that share one, each is paired with the first and with the one
    before it: a number of pairs that grows with the documents, not with their square.

    Args:
        keys: one for each entry.
        numbers: the document of each entry; ascending among those of a key.

    Returns:
        The smaller and the larger number of each pair; a pair may be there twice.
    """
    order = np.argsort(keys, kind="stable")
    follows = np.flatnonzero(keys[order][1:] == keys[order][:-1]) + 1
    first = np.arange(len(keys))
    first[follows] = 0
    first = np.maximum.accumulate(first)
    left = np.concatenate([numbers[order[before]] for before in (follows - 1, first[follows])])
    return left, np.tile(numbers[order[follows]], 2)


def _candidates(signatures: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Pairs that agree in a band, (pairs, 2)."""
    documents = len(signatures)
    numbers = np.arange(documents)
    codes = np.empty(0, dtype=np.int64)
    for keys in band_keys(signatures):
        left, right = neighbours(keys, numbers)
        codes = np.unique(np.concatenate([codes, left * documents + right]))
    return np.stack(np.divmod(codes, documents), axis=1)


def cluster_names(clusters: Clusters, keys: Iterable[str]) -> list[str]:
    """For each document the name of its cluster: the smallest key of its members.

    A document on its own is named by its own key, whatever else there is.
    """
    keys = list(keys)
    smallest: dict[int, str] = {}
    for member, key in enumerate(keys):
        root = clusters.find(member)
        smallest[root] = min(key, smallest.get(root, key))
    return [smallest[clusters.find(member)] for member in range(len(keys))]
