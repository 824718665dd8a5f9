"""A curve that is known is found again, its interval covers, and what is no curve is called so."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loresmith.advice.learning_curve import LearningCurve, Trial, fit, learning_curve

SHARES = (0.1, 0.3, 1.0)
TOKENS = 1_000_000


def trials(
    E: float, B: float, b: float, noise: float, seed: int, documents: int = 60, tokens: int = TOKENS
) -> tuple[list[Trial], list[int]]:
    """Models whose loss follows a law; documents differ, and each model adds noise to each of them."""
    draw = np.random.default_rng(seed)
    sizes = draw.integers(500, 5000, documents)
    harder = draw.normal(1, 0.15, documents)
    made = []
    for share in SHARES:
        loss = E + B / (share * tokens) ** b
        nats = loss * harder * draw.normal(1, noise, documents) * sizes * math.log(2)
        made.append(Trial(share, 0, int(share * tokens), nats.tolist()))
    return made, sizes.tolist()


@pytest.mark.parametrize(("E", "B", "b"), [(1.0, 40.0, 0.3), (0.5, 9.0, 0.15), (2.0, 2000.0, 0.6), (0.0, 20.0, 0.2)])
def test_a_law_without_noise_is_found_again(E: float, B: float, b: float) -> None:
    tokens = np.array([1e5, 2e5, 4e5, 8e5, 1.6e6])
    found_E, found_B, found_b = (float(x[0]) for x in fit(tokens, (E + B / tokens**b)[None]))
    assert found_b == pytest.approx(b, abs=0.004)
    assert found_E == pytest.approx(E, abs=0.05)
    for D in (1e5, 1e6, 1e7):
        assert found_E + found_B / D**found_b == pytest.approx(E + B / D**b, rel=0.01)


def test_nothing_is_ever_below_zero() -> None:
    tokens = np.array([1e5, 2e5, 4e5])
    losses = np.exp(np.random.default_rng(0).normal(0, 0.5, (200, 3)))
    losses[0] = 1e8 / tokens**2  # falls faster than any exponent that is tried: without a bound, E would be negative
    E, B, _ = fit(tokens, losses)
    assert (E >= 0).all()
    assert (B >= 0).all()


def test_the_interval_covers_the_truth_nearly_always() -> None:
    covered = []
    for seed in range(20):
        made, sizes = trials(1.0, 60.0, 0.3, noise=0.02, seed=seed)
        curve = learning_curve(made, sizes, TOKENS, seed)
        assert curve.at_twice is not None
        harder = sum(made[-1].nats) / (math.log(2) * sum(sizes)) / (1.0 + 60.0 / TOKENS**0.3)  # of these documents
        truth = (1.0 + 60.0 / (2 * TOKENS) ** 0.3) * harder
        covered.append(curve.at_twice.interval.low <= truth <= curve.at_twice.interval.high)
    assert sum(covered) >= 17


def test_more_text_helps_where_the_curve_is_steep_and_not_where_it_is_flat() -> None:
    steep = learning_curve(*trials(0.5, 60.0, 0.3, noise=0.005, seed=1), TOKENS, 0)
    assert steep.outcome == "more helps"
    assert steep.gain is not None
    assert steep.gain.low > 0.05
    flat = learning_curve(*trials(1.0, 3000.0, 0.9, noise=0.0005, seed=1), TOKENS, 0)
    assert flat.outcome == "enough for this size"


def reason(curve: LearningCurve) -> str:
    assert curve.outcome == "INCONCLUSIVE"
    return curve.because


def test_what_is_no_curve_is_called_inconclusive() -> None:
    made, sizes = trials(1.0, 60.0, 0.3, noise=0.01, seed=3)
    assert "2 amounts" in reason(learning_curve(made[:2], sizes, TOKENS, 0))
    assert "too few" in reason(learning_curve(*trials(1.0, 60.0, 0.3, 0.01, 3, documents=9), TOKENS, 0))
    rising = [Trial(trial.share, 0, trial.tokens, other.nats) for trial, other in zip(made, made[::-1], strict=True)]
    assert "does not surely fall" in reason(learning_curve(rising, sizes, TOKENS, 0))
    assert reason(learning_curve(*trials(1.5, 0.0, 0.3, noise=0.3, seed=4), TOKENS, 0))


def test_other_subsets_of_the_same_size_widen_the_interval() -> None:
    made, sizes = trials(1.0, 60.0, 0.3, noise=0.005, seed=5)
    unlike = [Trial(0.1, 1, made[0].tokens, [nats * 1.1 for nats in made[0].nats]), *made]
    alike = [Trial(0.1, 1, made[0].tokens, made[0].nats), *made]
    wide, narrow = (learning_curve(some, sizes, TOKENS, 0).line[0].interval for some in (unlike, alike))
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_nothing_is_said_beyond_ten_times_the_text() -> None:
    curve = learning_curve(*trials(1.0, 60.0, 0.3, noise=0.005, seed=6), 1e12, 0)
    assert curve.at_twice is not None
    assert max(point.tokens for point in (*curve.line, curve.at_twice)) <= 10 * TOKENS * 1.0001
