"""A verdict says below or above only where the documents leave no doubt, and pairing sees what blurs otherwise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loresmith.evaluation.comparison import hold_against
from loresmith.evaluation.reports import Baseline
from loresmith.evaluation.scores import DocumentScore, bits_per_byte


def scores(bits: np.ndarray, sizes: np.ndarray) -> list[DocumentScore]:
    return [
        DocumentScore(f"d{number}", "g", int(size), int(size) // 4, float(bit * size * math.log(2)))
        for number, (bit, size) in enumerate(zip(bits, sizes, strict=True))
    ]


def baseline(bits_per_byte_: float) -> Baseline:
    return Baseline(name="b", title="b", bits_per_byte=bits_per_byte_, interval=None, how="")


@pytest.fixture
def measured() -> tuple[list[DocumentScore], dict[str, float], float]:
    """Documents of very different difficulty, on each of which the model needs about 2 % less than the baseline."""
    draw = np.random.default_rng(1)
    sizes = draw.integers(500, 20_000, 60)
    theirs = draw.uniform(0.5, 3.0, 60)
    own = theirs * draw.normal(0.98, 0.01, 60)
    baseline_scores = scores(theirs, sizes)
    return scores(own, sizes), {score.key: score.nats for score in baseline_scores}, bits_per_byte(baseline_scores)


def test_pairing_sees_a_small_difference_that_the_unpaired_interval_cannot(
    measured: tuple[list[DocumentScore], dict[str, float], float],
) -> None:
    own, nats, number = measured
    paired = hold_against(baseline(number), own, nats, 500, 0)
    unpaired = hold_against(baseline(number), own, None, 500, 0)
    assert paired.verdict == "below"
    assert unpaired.verdict == "undecided"
    assert paired.difference == pytest.approx(unpaired.difference)
    assert paired.difference == pytest.approx(-0.02 * number, abs=0.005 * number)


def test_the_other_way_round_is_above(measured: tuple[list[DocumentScore], dict[str, float], float]) -> None:
    own, _, number = measured
    assert hold_against(baseline(number / 3), own, None, 500, 0).verdict == "above"
    assert hold_against(baseline(number * 3), own, None, 500, 0).verdict == "below"


def test_a_handful_of_documents_decides_nothing(
    measured: tuple[list[DocumentScore], dict[str, float], float],
) -> None:
    own, nats, number = measured
    verdict = hold_against(baseline(number * 9), own[:5], nats, 500, 0)
    assert (verdict.verdict, verdict.interval) == ("undecided", None)
