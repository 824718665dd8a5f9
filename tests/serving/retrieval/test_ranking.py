"""Rankings are in a fixed order, and made one as the paper says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.serving.retrieval.ranking import best, reciprocal_rank


@given(st.lists(st.integers(0, 4), max_size=40), st.integers(0, 45))
def test_the_best_are_those_of_a_stable_sort(scores: list[int], count: int) -> None:
    wanted = sorted(range(len(scores)), key=lambda number: (-scores[number], number))[:count]
    assert best(np.array(scores, np.float32), count).tolist() == wanted


def test_reciprocal_rank_adds_up() -> None:
    scores = reciprocal_rank([["a", "b"], ["b", "c"]])
    assert scores == pytest.approx({"a": 1 / 61, "b": 1 / 62 + 1 / 61, "c": 1 / 62})
