"""Which group each document is in, and on which side of the split, without a name or a place kept for each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loresmith.data.curation.decision import Decisions
from loresmith.data.duplicates.clusters import Clusters
from loresmith.data.shards import SPLITS
from loresmith.data.splitting import Shares, place_of, split_groups

_BLOCK = 1 << 14


class Groups:
    """The names of documents' groups: a digest that names the near-identical cluster, or the folder.

    Of a cluster it is the smallest of its documents' digests; so a document on its own is named by its own, whatever
    else there is.

    Args:
        clusters: documents of one folder are joined here, too.
        levels: documents that share so many first folders are one group; None: folders do not matter.
    """

    def __init__(self, decisions: Decisions, clusters: Clusters, levels: int | None) -> None:
        self._decisions = decisions
        self._clusters = clusters
        self._levels = levels
        if levels is not None:
            first: dict[str, int] = {}
            for number in np.flatnonzero(decisions.kept).tolist():
                clusters.join(number, first.setdefault(self._folder(number), number))
        self._joined = {root: min(map(self._own, members)) for root, members in clusters.joined().items()}

    def __getitem__(self, number: int) -> str:
        name = self._joined.get(self._clusters.find(number))
        return self._own(number) if name is None else name

    def cluster(self, number: int) -> int | None:
        """What a document's cluster is called among clusters; None: it has none but itself."""
        root = self._clusters.find(number)
        return root if root in self._joined else None

    def _own(self, number: int) -> str:
        decisions = self._decisions
        if self._levels is not None and decisions.fates[number].disposition == "kept":
            return hashlib.sha256(f"folder/{self._folder(number)}".encode()).hexdigest()
        return bytes(decisions.digests[number]).hex()

    def _folder(self, number: int) -> str:
        return "/".join(str(self._decisions.paths[number]).split("/")[:-1][: self._levels])


@dataclass
class Places:
    """Where documents stand.

    Attributes:
        groups: of all documents.
        sides: the number of each document's split; -1: it is not kept.
        counts: groups of each split.
        moved: groups that changed sides so that no split is empty.
    """

    groups: Groups
    sides: NDArray[np.int8]
    counts: dict[str, int]
    moved: Mapping[str, str]

    def __call__(self, number: int) -> tuple[str, str]:
        """The split and the group of a document; both empty if it is not kept."""
        side = int(self.sides[number])
        return (SPLITS[side], self.groups[number]) if side >= 0 else ("", "")


def place(groups: Groups, kept: NDArray[np.intp], documents: int, shares: Shares) -> Places:
    """Put every group on a side (`split_groups` says how).

    Args:
        kept: the numbers of documents that are.
        documents: how many there are.

    Raises:
        UserError: there are fewer groups than splits.
    """
    sides = np.full(documents, -1, dtype=np.int8)
    counts = dict.fromkeys(SPLITS, 0)
    known: dict[int, str] = {}
    for number in _numbers(kept):
        cluster = groups.cluster(number)
        side = known.get(cluster) if cluster is not None else None
        if side is None:
            side = shares.side(place_of(groups[number]))
            counts[side] += 1
            if cluster is not None:
                known[cluster] = side
        sides[number] = SPLITS.index(side)
    if all(counts[split] for split in shares.wanted()):
        return Places(groups, sides, counts, {})
    splitting = split_groups((groups[number] for number in _numbers(kept)), shares)
    for number in _numbers(kept):
        sides[number] = SPLITS.index(splitting.sides[groups[number]])
    found = list(splitting.sides.values())
    return Places(groups, sides, {split: found.count(split) for split in SPLITS}, splitting.moved)


def _numbers(numbers: NDArray[np.intp]) -> Iterator[int]:
    for start in range(0, len(numbers), _BLOCK):
        yield from numbers[start : start + _BLOCK].tolist()


def bytes_of(places: Places, sizes: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    """Documents, bytes and groups of each split."""
    return {
        split: {
            "documents": int(np.count_nonzero(places.sides == side)),
            "bytes": int(sizes[places.sides == side].sum()),
            "groups": places.counts[split],
        }
        for side, split in enumerate(SPLITS)
    }
