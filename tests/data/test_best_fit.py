from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.data.best_fit import best_fit


@st.composite
def packings(draw: st.DrawFn) -> tuple[list[int], int]:
    capacity = draw(st.integers(1, 40))
    return draw(st.lists(st.integers(1, capacity), max_size=200)), capacity


def one_by_one(lengths: list[int], capacity: int) -> list[int]:
    """Room left in each row after best-fit-decreasing as it is defined: one piece at a time, over all rows."""
    room: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [row for row in range(len(room)) if room[row] >= length]
        if not fitting:
            room.append(capacity)
            fitting = [len(room) - 1]
        best = min(fitting, key=room.__getitem__)
        room[best] -= length
    return room


def filled(rows: object, lengths: list[int]) -> list[int]:
    return [sum(lengths[piece] for piece in row) for row in rows]


@given(packings())
def test_every_piece_lies_in_one_row_and_no_row_overflows(packing: tuple[list[int], int]) -> None:
    lengths, capacity = packing
    rows = best_fit(lengths, capacity)
    assert sorted(piece for row in rows for piece in row) == list(range(len(lengths)))
    assert all(0 < tokens <= capacity for tokens in filled(rows, lengths))
    if lengths:
        assert rows.efficiency == pytest.approx(sum(lengths) / (len(rows) * capacity))


@given(packings())
def test_no_two_rows_could_be_one(packing: tuple[list[int], int]) -> None:
    lengths, capacity = packing
    emptiest = sorted(filled(best_fit(lengths, capacity), lengths))[:2]
    assert len(emptiest) < 2 or sum(emptiest) > capacity


@given(packings())
def test_placing_equal_lengths_at_once_is_placing_them_one_by_one(packing: tuple[list[int], int]) -> None:
    lengths, capacity = packing
    left = [capacity - tokens for tokens in filled(best_fit(lengths, capacity), lengths)]
    assert sorted(left) == sorted(one_by_one(lengths, capacity))


@given(packings(), st.integers(1, 30))
def test_bounded_windows_lose_no_piece_and_pack_each_share_as_well(packing: tuple[list[int], int], window: int) -> None:
    lengths, capacity = packing
    rows = best_fit(lengths, capacity, window=window)
    assert sorted(piece for row in rows for piece in row) == list(range(len(lengths)))
    windows = max(1, -(-len(lengths) // window))
    left = [capacity - tokens for tokens in filled(rows, lengths)]
    alone = [room for first in range(windows) for room in one_by_one(lengths[first::windows], capacity)]
    assert sorted(left) == sorted(alone)


def test_rows_are_read_like_a_list() -> None:
    rows = best_fit([3, 8, 5, 2, 10, 1], 10)
    assert list(rows) == [[4], [1, 3], [2, 0, 5]]
    assert rows[-1] == [2, 0, 5]
    assert rows[1:] == [[1, 3], [2, 0, 5]]
    with pytest.raises(IndexError):
        rows[3]
    assert (len(best_fit([], 10)), best_fit([], 10).efficiency) == (0, 1.0)


@pytest.mark.parametrize("lengths", [[3, 0], [3, 11], [-1]])
def test_a_piece_that_is_empty_or_longer_than_a_row_is_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="do not fit rows of 1 to 10"):
        best_fit(lengths, 10)


def test_a_million_pieces_of_text_are_packed_almost_without_a_gap_in_seconds() -> None:
    lengths = np.clip(np.random.default_rng(0).lognormal(5.2, 1.0, 1_000_000).astype(np.int64), 1, 2048)
    began = time.process_time()
    rows = best_fit(lengths, 2048)
    assert time.process_time() - began < 5
    assert rows.efficiency > 0.999
    again = best_fit(lengths, 2048)
    assert np.array_equal(rows.pieces, again.pieces)
    assert np.array_equal(rows.borders, again.borders)
