"""How a score is spread says what a threshold would do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loresmith.data.preview.page import bars
from loresmith.data.preview.spread import PARTS, spread_of


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_quantiles_are_values_in_order_and_every_value_is_counted(values: list[float]) -> None:
    spread = spread_of(values)
    assert spread is not None
    shown = [spread.minimum, spread.p5, spread.p50, spread.p95, spread.maximum]
    assert shown == sorted(shown)
    assert set(shown) <= set(values)
    assert (min(values), max(values)) == (spread.minimum, spread.maximum)
    assert sum(spread.counts) == spread.documents == len(values)
    assert sum(value <= spread.p95 for value in values) >= 0.95 * len(values)
    assert sum(value < spread.p95 for value in values) <= 0.95 * len(values)


def test_of_no_values_there_is_none() -> None:
    assert spread_of([]) is None


def test_bars_out_of_bounds_are_told_apart() -> None:
    spread = spread_of([float(number) for number in range(PARTS * 2 + 1)])
    assert spread is not None
    drawn = bars(spread, 8.0, 30.0)
    assert [out for _, out in drawn] == [True] * 3 + [False] * 13 + [True] * 4
    assert max(height for height, _ in drawn) == 1
