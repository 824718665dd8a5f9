"""What is asked for is found: docstrings of the standard library, by their own first sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.retrieval import LABELS, bm25s_alone, built, known_items, ours, questions, recall, write_corpus
from tests.serving.retrieval.indexes import minilm


def test_words_find_more_than_bm25s_alone(tmp_path: Path) -> None:
    items = known_items(600)
    asked = questions(items, 150)
    retriever, _ = built(tmp_path, write_corpus(tmp_path / "corpus", items, labelled=False), None)
    assert recall(asked, ours(retriever)) >= max(0.75, recall(asked, bm25s_alone(items)) + 0.05)


@pytest.mark.slow
def test_words_and_vectors_together_find_more_than_words_also_over_four_partitions(tmp_path: Path) -> None:
    items = known_items(800)
    asked = questions(items, 150)
    whole, divided = (write_corpus(tmp_path / f"{labelled}", items, labelled=labelled) for labelled in (False, True))
    words, _ = built(tmp_path / "words", whole, None)
    fused, _ = built(tmp_path / "fused", whole, minilm())
    parts, _ = built(tmp_path / "parts", divided, minilm())
    found = recall(asked, ours(fused))
    assert found >= max(0.78, recall(asked, ours(words)) + 0.01)
    assert recall(asked, ours(parts, LABELS)) >= found - 0.02
