"""The words of one partition's passages, scored by BM25 with bm25s.

A score is idf(term) * tf / (tf + k1 * (1 - b + b * length / average length)) summed over the terms of a question
(Robertson and Zaragoza 2009, in Lucene's form). bm25s has computed the product for every term and passage beforehand,
from this partition alone. A caller who may see several partitions is given one ranking over all of them: each product
is brought from this partition's idf to the idf over those partitions (`weight`), so that their scores can be compared.
What a caller may not see has no part in any of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_VOCABULARY = "vocab.index.json"


def inverse_frequency(passages: int, frequency: int) -> float:
    """ln(1 + (N - n + 0.5) / (n + 0.5)) of a term that `frequency` of all `passages` have."""
    return math.log(1 + (passages - frequency + 0.5) / (frequency + 0.5))


def write_word_index(passages: Sequence[Sequence[str]], folder: Path) -> None:
    """Index passages, given by their terms. The same passages give the same bytes.

    Args:
        folder: gets bm25s's own files; nothing in them is pickled.
    """
    from bm25s import BM25  # type: ignore[import-untyped]

    # One term that nothing has: without any, bm25s has no index.
    terms = ["", *sorted({term for passage in passages for term in passage})]
    vocabulary = {term: number for number, term in enumerate(terms)}
    ids = [[vocabulary[term] for term in passage] for passage in passages]
    index = BM25(method="lucene", backend="numpy", csc_backend="numpy")
    index.vocab_dict = vocabulary
    with np.errstate(invalid="ignore"):  # where no passage has a term, their average length is 0
        index.scores = index.build_index_from_ids(list(range(len(terms))), ids, show_progress=False)
    index.save(folder, show_progress=False)


class WordIndex:
    """The index in a folder that `write_word_index` has filled; its arrays stay on disk until they are looked at.

    Attributes:
        passages: how many there are.
    """

    def __init__(self, folder: Path) -> None:
        from bm25s import BM25

        index = BM25.load(folder, mmap=True, load_vocab=False, show_progress=False)
        self._scores: NDArray[np.float32] = index.scores["data"]
        self._numbers: NDArray[np.int32] = index.scores["indices"]
        self._begins: NDArray[np.int64] = index.scores["indptr"]
        self.passages: int = index.scores["num_docs"]
        self._vocabulary: dict[str, int] = json.loads((folder / _VOCABULARY).read_text(encoding="utf-8"))

    def frequency(self, term: str) -> int:
        """How many passages have a term."""
        span = self._span(term)
        return int(span.stop - span.start)

    def scores(self, idf: dict[str, float]) -> NDArray[Any]:
        """BM25 of every passage for some terms, float32.

        Args:
            idf: of each term, over all that the caller may see.
        """
        found = np.zeros(self.passages, np.float32)
        for term, wanted in idf.items():
            span = self._span(term)
            if span.start < span.stop:
                weight = np.float32(wanted / inverse_frequency(self.passages, span.stop - span.start))
                found[self._numbers[span]] += weight * self._scores[span]  # a passage is there once
        return found

    def _span(self, term: str) -> slice:
        number = self._vocabulary.get(term)
        if number is None:
            return slice(0, 0)
        return slice(int(self._begins[number]), int(self._begins[number + 1]))
