"""Groups of near-identical documents: locality-sensitive hashing finds pairs, and union-find makes groups of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from loresmith.data.minhash import HASHES, similarity
from loresmith.data.mixing import mix

_BANDS = 28
"""With 28 bands of 4 hashes a pair of similarity 0.7 shares a band 99.9 times in 100; what shares one is compared."""

_COMPARED_AT_ONCE = 1 << 16


class Clusters:
    """Union-find over the numbers 0 .. size - 1. A cluster is named by its smallest member."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def join(self, left: int, right: int) -> None:
        left, right = self.find(left), self.find(right)
        self._parents[max(left, right)] = min(left, right)

    def find(self, member: int) -> int:
        while self._parents[member] != member:
            self._parents[member] = member = self._parents[self._parents[member]]
        return member


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


def _candidates(signatures: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Pairs that agree in a band, (pairs, 2). Of a bucket each member is paired with the first and with the one
    before it: a number of pairs that grows with the documents, not with their square."""
    documents = len(signatures)
    codes = np.empty(0, dtype=np.int64)
    for band in signatures.reshape(documents, _BANDS, HASHES // _BANDS).swapaxes(0, 1):
        keys = np.zeros(documents, dtype=np.uint64)
        for column in band.T:
            keys = mix(keys + column)
        order = np.argsort(keys, kind="stable")
        follows = np.flatnonzero(keys[order][1:] == keys[order][:-1]) + 1
        first = np.arange(documents)
        first[follows] = 0
        first = np.maximum.accumulate(first)
        found = [order[before] * documents + order[follows] for before in (follows - 1, first[follows])]
        codes = np.unique(np.concatenate([codes, *found]))
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
