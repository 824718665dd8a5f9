from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.data.order import GivenOrder, SampleOrder

samples = st.integers(1, 3000)
seeds = st.integers(-(2**63), 2**63)


@given(samples, seeds, st.integers(0, 10**9))
def test_every_sample_comes_exactly_once_an_epoch(samples: int, seed: int, epoch: int) -> None:
    order = SampleOrder(samples, seed)
    assert sorted(order.take(epoch * samples, samples)) == list(range(samples))


@given(samples, seeds, st.data())
def test_any_position_is_reached_without_replay(samples: int, seed: int, data: st.DataObject) -> None:
    order = SampleOrder(samples, seed)
    start = data.draw(st.integers(0, 3 * samples))
    count = data.draw(st.integers(0, 2 * samples))
    expected = [order.at(*order.locate(position)) for position in range(start, start + min(count, 50))]
    assert list(order.take(start, count)[:50]) == expected


def test_epochs_and_seeds_differ_and_look_shuffled() -> None:
    order = SampleOrder(10_000, 7)
    first, second = order.take(0, 10_000), order.take(10_000, 10_000)
    other = SampleOrder(10_000, 8).take(0, 10_000)
    for left, right in ((first, second), (first, other), (first, np.arange(10_000))):
        assert np.mean(left == right) < 0.01
        assert abs(np.corrcoef(left, right)[0, 1]) < 0.05
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.05


def test_all_orders_of_four_samples_are_reached_about_equally_often() -> None:
    counts: dict[tuple[int, ...], int] = {}
    for epoch in range(2400):
        permutation = tuple(SampleOrder(4, 1).take(4 * epoch, 4).tolist())
        counts[permutation] = counts.get(permutation, 0) + 1
    assert len(counts) == 24
    assert max(counts.values()) < 3 * min(counts.values())


def test_the_order_is_a_promise_to_checkpoints() -> None:
    """A run resumed by a later version must see the same samples: these numbers never change."""
    assert SampleOrder(1_000_003, 42).take(5, 4).tolist() == [663081, 566322, 510185, 8541]
    assert SampleOrder(10**12, 42).at(3, 999_999_999_999) == 135_974_661_350


def test_positions_outside_an_epoch_are_refused() -> None:
    with pytest.raises(IndexError):
        SampleOrder(3, 0).at(0, 3)
    with pytest.raises(ValueError, match="at least one"):
        SampleOrder(0, 0)


@given(samples, st.integers(0, 5000), st.integers(0, 5000))
def test_a_given_order_is_the_one_in_which_samples_lie(samples: int, start: int, count: int) -> None:
    order = GivenOrder(samples)
    expected = [order.at(*order.locate(position)) for position in range(start, start + count)]
    assert order.take(start, count).tolist() == expected == [n % samples for n in range(start, start + count)]


def test_a_given_order_ends() -> None:
    with pytest.raises(IndexError):
        GivenOrder(3).at(0, 3)
    with pytest.raises(ValueError, match="at least one"):
        GivenOrder(0)
