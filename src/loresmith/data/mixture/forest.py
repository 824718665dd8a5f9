"""Sets of documents that are joined two by two, for any number of documents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 20


class Forest:
    """Union-find over 0 .. count - 1 in a file of four bytes for each, which is in memory as far as it is used.

    A set is named by its smallest member.

    Args:
        path: the file.
        count: at least 1.
    """

    def __init__(self, path: Path, count: int) -> None:
        parents = np.memmap(path, dtype=np.uint32, mode="w+", shape=(count,))
        for start in range(0, count, _BLOCK):
            end = min(count, start + _BLOCK)
            parents[start:end] = np.arange(start, end)
        self._parents = parents.view(np.ndarray)

    def join(self, left: int, right: int) -> None:
        left, right = self._find(left), self._find(right)
        self._parents[max(left, right)] = min(left, right)

    def roots(self, first: int, after: int) -> NDArray[np.uint32]:
        """The names of the sets of members, from the first to the one before the last."""
        roots = self._parents[first:after].copy()
        while not np.array_equal(above := self._parents[roots], roots):
            roots = above
        return roots

    def _find(self, member: int) -> int:
        parents = self._parents
        while (parent := int(parents[member])) != member:
            parents[member] = parents[parent]
            member = parent
        return member
