"""One partition of an index, as it is asked: its passages, their words and their vectors."""

from __future__ import annotations

from pathlib import Path

from loresmith.errors import Failure
from loresmith.serving.retrieval.layout import PARTITIONS, WORDS, PartitionFacts
from loresmith.serving.retrieval.passage_table import PassageTable
from loresmith.serving.retrieval.vector_index import VectorIndex
from loresmith.serving.retrieval.word_index import WordIndex


class Partition:
    """The passages of the documents that have exactly some labels.

    Args:
        directory: the index.
        vectors: whether it has some.

    Raises:
        Failure: a file of it is damaged or not there. What it says names the partition's folder, and no labels.
    """

    def __init__(self, directory: Path, facts: PartitionFacts, *, vectors: bool) -> None:
        self.facts = facts
        folder = directory / PARTITIONS / facts.folder
        try:
            self.passages = PassageTable(folder, facts.labels)
            self.words = WordIndex(folder / WORDS)
            self.vectors = VectorIndex(folder) if vectors else None
        except (OSError, ValueError, KeyError) as error:
            kind = type(error).__name__
            raise Failure(f"a partition of the index cannot be read ({kind})", where=str(folder)) from None
        if not len(self.passages) == self.words.passages == facts.passages:
            raise Failure("a partition of the index is not whole", where=str(folder))
