"""An interval holds the truth about as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from loresmith.evaluation.intervals import FEWEST_DOCUMENTS, proportion_interval, ratio_interval


def test_the_bootstrap_covers_the_truth_about_95_times_in_100() -> None:
    draw = np.random.default_rng(3)
    truth, covered, trials = 1.5, 0, 300
    for trial in range(trials):
        sizes = draw.lognormal(8, 0.7, 80)
        bits = sizes * (truth + draw.normal(0, 0.3, 80))
        interval = ratio_interval(bits, sizes, 400, trial)
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    assert 0.89 <= covered / trials <= 0.98


def test_more_documents_narrow_it_and_the_same_seed_repeats_it() -> None:
    draw = np.random.default_rng(0)
    widths = []
    for count in (20, 2000):
        sizes = draw.lognormal(8, 1, count)
        bits = sizes * draw.normal(2, 0.5, count)
        first, second = (ratio_interval(bits, sizes, 200, 5) for _ in range(2))
        assert first == second
        assert first is not None
        assert first.low < bits.sum() / sizes.sum() < first.high
        widths.append(first.high - first.low)
    assert widths[1] < widths[0] / 3


def test_too_little_to_say_anything_gives_none() -> None:
    assert ratio_interval([1.0] * (FEWEST_DOCUMENTS - 1), [1.0] * (FEWEST_DOCUMENTS - 1), 100, 0) is None
    assert ratio_interval([0.0] * 20, [0.0] * 20, 100, 0) is None
    assert proportion_interval(0, 0) is None


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 5, 0.0, 0.434482), (5, 5, 0.565518, 1.0), (3, 20, 0.052369, 0.360419), (190, 200, 0.910422, 0.972617)],
)
def test_wilsons_interval_is_the_published_one(successes: int, trials: int, low: float, high: float) -> None:
    """Expected values: scipy 1.17, binomtest(...).proportion_ci(method="wilson")."""
    found = proportion_interval(successes, trials)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
