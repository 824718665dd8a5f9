"""The vectors of one partition's passages: all compared, or in a large partition found by a graph first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from loresmith.serving.retrieval.embedders.embedder import Vectors
from loresmith.serving.retrieval.ranking import best

if TYPE_CHECKING:
    from usearch.index import Index

VECTORS, GRAPH = "vectors.npy", "graph.usearch"

NEIGHBOURS, TRIED_BUILDING, TRIED_ASKING = 32, 256, 512
"""Of the graph: links of a node, and how many nodes are tried when one is added or looked for (HNSW's M, efConstruction
and ef). Among 60,000 vectors, each between two of real passages, it found 0.999 of the ten nearest."""


def write_graph(folder: Path) -> None:
    """Make the graph beside the vectors in a folder. The same vectors give the same bytes."""
    vectors = np.load(folder / VECTORS, mmap_mode="r")
    graph = _empty_graph(vectors.shape[1])
    # With several threads the graph would depend on which is faster.
    graph.add(np.arange(len(vectors), dtype=np.uint64), np.asarray(vectors), threads=1)
    graph.save(str(folder / GRAPH))


def _empty_graph(dimensions: int) -> Index:
    from usearch.index import Index

    return Index(
        ndim=dimensions,
        metric="ip",
        dtype="f16",
        connectivity=NEIGHBOURS,
        expansion_add=TRIED_BUILDING,
        expansion_search=TRIED_ASKING,
    )


class VectorIndex:
    """The vectors in a folder; they stay on disk until they are looked at."""

    def __init__(self, folder: Path) -> None:
        self._vectors: Vectors = np.load(folder / VECTORS, mmap_mode="r")
        self._graph: Index | None = None
        if (folder / GRAPH).exists():
            self._graph = _empty_graph(self._vectors.shape[1])
            self._graph.view(str(folder / GRAPH))

    def nearest(self, question: Vectors, count: int) -> tuple[NDArray[np.int64], Vectors]:
        """The passages nearest to a question, the best first, and their cosines with it.

        Args:
            question: (D,), of unit length.
            count: how many, at most.
        """
        if self._graph is None:
            cosines = self._vectors @ question
            numbers = best(cosines, count)
            return numbers, cosines[numbers]
        matches = self._graph.search(question, count, threads=1)
        numbers = np.sort(np.asarray(matches.keys, np.int64))  # a partition may be smaller than what is asked for
        cosines = self._vectors[numbers] @ question
        order = best(cosines, count)
        return numbers[order], cosines[order]

    def cosine(self, number: int, question: Vectors) -> float:
        """How near one passage is to a question."""
        return float(self._vectors[number] @ question)
