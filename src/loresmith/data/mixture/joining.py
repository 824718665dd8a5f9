"""Groups over all corpora of a mixture: what is near-identical is on one side, whichever corpora it is in.

Within a corpus that is so already. Of a group that is on two sides in all, everything goes to the held-out one, to test
before validation: what is held out stays unseen.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loresmith.data.asset_rows import AssetRows
from loresmith.data.duplicates.clusters import Clusters
from loresmith.data.duplicates.near_duplicates import near_duplicates
from loresmith.data.duplicates.sketches import Sketches, write_sketches
from loresmith.data.mixture.survey import IN_NONE, Survey, hash_of
from loresmith.data.observer import Observer, safe_point


@dataclass
class Joined:
    """What joining came to.

    Attributes:
        sides: int8, the number of each document's split now: in `shards.SPLITS`, the more held out, the higher.
        moved: whether it was on another one.
        names: the hash of the group that another group is now called by; only of those that were joined.
        near: how many documents are near-identical to one of another group.
    """

    sides: NDArray[np.int8]
    moved: NDArray[np.bool_]
    names: dict[int, int] = field(default_factory=dict)
    near: int = 0


def join_groups(corpora: Sequence[Path], found: Survey, similarity: float, work: Path, observer: Observer) -> Joined:
    """Find what is near-identical in different corpora, and put every group on one side.

    A document that is in no source has no part in it.

    Args:
        similarity: Jaccard similarity of runs of five words from which on documents are near-identical.
        work: a folder for what is in between; emptied.
    """
    names, inverse = np.unique(found.groups, return_inverse=True)
    clusters = Clusters()
    near = 0
    if len(corpora) > 1:
        for one, other in _alike(corpora, similarity, work, observer):
            groups = int(inverse[one]), int(inverse[other])
            if groups[0] != groups[1]:
                clusters.join(*groups)
                near += 1
    for one, other in _same_ids(found):
        clusters.join(int(inverse[one]), int(inverse[other]))
    roots = np.arange(len(names))
    for root, members in clusters.joined().items():
        roots[members] = root
    own = roots[inverse]
    meant = found.sources != IN_NONE
    severest = np.zeros(len(names), dtype=np.int8)
    np.maximum.at(severest, own[meant], found.sides[meant])
    sides = np.where(meant, severest[own], found.sides)
    called = {int(names[member]): int(names[root]) for root, some in clusters.joined().items() for member in some}
    return Joined(sides, sides != found.sides, called, near)


def group_names(corpora: Sequence[Path], wanted: set[int]) -> dict[int, str]:
    """The names of groups by their hashes."""
    names: dict[int, str] = {}
    if wanted:
        for corpus in corpora:
            for batch in AssetRows(corpus).batches(["group"], 4096):
                for group in set(batch["group"].to_pylist()):
                    if (key := hash_of(str(group))) in wanted:
                        names[key] = str(group)
    return names


def _alike(corpora: Sequence[Path], similarity: float, work: Path, observer: Observer) -> Iterator[tuple[int, int]]:
    """Numbers of documents that are near-identical, each with the one that stands for its cluster."""
    shutil.rmtree(work, ignore_errors=True)
    folders = []
    first = 0
    for number, corpus in enumerate(corpora):
        folders.append(work / f"sketches-{number}")
        first += write_sketches(_numbered(corpus, first, observer), folders[-1])
    table = near_duplicates(Sketches(folders), work / "comparison", similarity)
    for batch in table.select(["document", "kept"]).to_batches():
        for one, other in zip(batch["document"].to_pylist(), batch["kept"].to_pylist(), strict=True):
            yield int(str(one)), int(str(other))
    shutil.rmtree(work)


def _same_ids(found: Survey) -> Iterator[tuple[int, int]]:
    """Numbers of documents that have one id: the first, and one after it."""
    _, first, inverse = np.unique(found.ids, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(found)))
    yield from zip(first[inverse[again]].tolist(), again.tolist(), strict=True)


def _numbered(corpus: Path, first: int, observer: Observer) -> Iterator[pa.RecordBatch]:
    """Texts with their numbers instead of their ids, which may be there twice."""
    for batch in AssetRows(corpus).batches(["text"]):
        safe_point(observer, first, None, "documents compared")
        ids = pa.array([str(number) for number in range(first, first + batch.num_rows)], pa.string())
        yield pa.record_batch([ids, batch["text"]], names=["id", "text"])
        first += batch.num_rows
