"""What more text would give: a curve through held-out losses of one small model on more and more of the text.

    L(D) = E + B / D^b

with D the tokens that the model learnt from and L its bits per byte on the same held-out documents (Hestness et al.,
Deep Learning Scaling is Predictable, Empirically, 2017, equation 1; of one model size, so that E holds what the size
cannot learn). It is fitted by least squares of log L, with E and B not negative and b between 0.05 and 1.5: for each b
of a fine grid the best E and B are a linear problem.

The interval is the bootstrap's: held-out documents are drawn with replacement, and where a share of the text was tried
with several subsets these are drawn too; each draw is fitted anew. It says what another held-out set, and other
subsets, would show; it does not say that the law holds far beyond the points, and nothing beyond ten times the text is
given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from loresmith.advice.figures import percent
from loresmith.evaluation.intervals import FEWEST_DOCUMENTS, Interval

EXPONENTS = np.linspace(0.05, 1.5, 291)
RESAMPLES = 1000
FEWEST_POINTS = 3
TOO_WIDE = 0.2
"""Of the gain that twice the text would bring, as a share of the loss: a wider interval says nothing."""
WORTHWHILE = 0.01
"""A gain, of the loss, that is worth collecting as much text again. Our judgement."""

Floats = NDArray[np.float64]


class Predicted(BaseModel):
    """The held-out loss that the curve says for an amount of text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: float = Field(description="Tokens to learn from, counted as those of the points.")
    bits_per_byte: float = Field(description="Held-out bits per byte.")
    interval: Interval = Field(description="At 95 % confidence.")


class Point(BaseModel):
    """One measured point."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(description="Share of the pilot's text that the model learnt from.")
    subset: int = Field(description="Which of the random subsets of that size, from 0.")
    tokens: int = Field(description="Different tokens that it learnt from.")
    bits_per_byte: float = Field(description="On the held-out documents.")


class LearningCurve(BaseModel):
    """A fitted curve, or why there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Literal["more helps", "enough for this size", "INCONCLUSIVE"] = Field(
        description="What twice the text would do to a model of the pilot's size."
    )
    because: str = Field(description="Why, in a sentence.")
    points: tuple[Point, ...] = Field(description="What was measured.")
    E: float | None = Field(description="What no amount of text takes away at this size, in bits per byte.")
    B: float | None = Field(description="Factor of the part that falls.")
    b: float | None = Field(description="Exponent of the part that falls.")
    b_interval: Interval | None = Field(description="Of the exponent, at 95 % confidence.")
    line: tuple[Predicted, ...] = Field(description="The curve, from the least text to ten times the most.")
    at_all: Predicted | None = Field(description="At all of the corpus's text that may be learnt from.")
    at_twice: Predicted | None = Field(description="At twice as much.")
    gain: Interval | None = Field(description="By what share of itself twice the text lowers the loss.")


@dataclass(frozen=True)
class Trial:
    """A model trained on a share of the text. `nats` has those of each held-out document, in their order."""

    share: float
    subset: int
    tokens: int
    nats: Sequence[float]


def fit(tokens: Floats, losses: Floats) -> tuple[Floats, Floats, Floats]:
    """Fit curves. Legend: P points, R sets of losses, G exponents that are tried.

    Args:
        tokens: (P,).
        losses: (R, P), positive.

    Returns:
        E, B and b, each (R,).
    """
    scale = float(np.exp(np.log(tokens).mean()))
    x_GP = (tokens / scale)[None, :] ** -EXPONENTS[:, None]
    best = np.full(len(losses), np.inf)
    E, B, b = (np.zeros(len(losses)) for _ in range(3))
    weights_RP = 1 / losses**2  # least squares of log L, to first order; the best exponent is chosen by log L itself
    for exponent, x_P in zip(EXPONENTS, x_GP, strict=True):
        w, wx, wxx = weights_RP.sum(1), weights_RP @ x_P, weights_RP @ (x_P * x_P)
        wy, wxy = (weights_RP * losses).sum(1), (weights_RP * losses) @ x_P
        slope = (w * wxy - wx * wy) / np.maximum(w * wxx - wx * wx, 1e-300)
        floor = (wy - slope * wx) / w
        slope = np.where(floor < 0, wxy / wxx, slope)
        floor = np.maximum(floor, 0)
        floor = np.where(slope < 0, wy / w, floor)
        slope = np.maximum(slope, 0)
        fitted = floor[:, None] + slope[:, None] * x_P
        error = ((np.log(fitted) - np.log(losses)) ** 2).sum(1)
        better = error < best - 1e-15
        best = np.where(better, error, best)
        E, B, b = (np.where(better, new, old) for new, old in ((floor, E), (slope, B), (exponent, b)))
    return E, B * scale**b, b


def learning_curve(
    trials: Sequence[Trial], held_out_bytes: Sequence[int], all_tokens: float, seed: int
) -> LearningCurve:
    """Fit the curve of some trials.

    Args:
        trials: any number, of any shares; all scored the same held-out documents.
        held_out_bytes: of each held-out document.
        all_tokens: tokens of all the corpus that may be learnt from, counted as those of the trials.
        seed: the same seed, the same intervals.
    """
    points = tuple(
        Point(
            share=trial.share,
            subset=trial.subset,
            tokens=trial.tokens,
            bits_per_byte=sum(trial.nats) / (math.log(2) * max(1, sum(held_out_bytes))),
        )
        for trial in trials
    )
    shares = sorted({trial.share for trial in trials})
    if len(shares) < FEWEST_POINTS:
        return _inconclusive(points, f"{len(shares)} amounts of text make no curve; {FEWEST_POINTS} are the least")
    if len(held_out_bytes) < FEWEST_DOCUMENTS:
        return _inconclusive(
            points,
            f"{len(held_out_bytes)} held-out documents are too few for an interval; {FEWEST_DOCUMENTS} are the least",
        )
    tokens, losses = _resampled(trials, shares, held_out_bytes, seed)
    E, B, b = fit(tokens, losses)
    most = float(tokens.max())
    grid = np.geomspace(tokens.min(), 10 * most, 41)
    said = E[:, None] + B[:, None] * grid[None, :] ** -b[:, None]
    reach = min(all_tokens, 5 * most)
    now, twice = (E + B * D**-b for D in (reach, 2 * reach))
    gains = 1 - twice / now
    whose = "twice the text" if reach == all_tokens else "at five times what was tried, twice the text"
    outcome, because = _judged(losses, B, gains, whose)
    return LearningCurve(
        outcome=outcome,
        because=because,
        points=points,
        E=float(E[0]),
        B=float(B[0]),
        b=float(b[0]),
        b_interval=_interval(b[1:]),
        line=tuple(_predicted(D, said[:, n]) for n, D in enumerate(grid)),
        at_all=_predicted(reach, now),
        at_twice=_predicted(2 * reach, twice),
        gain=_interval(gains[1:]),
    )


def _judged(
    losses: Floats, B: Floats, gains: Floats, whose: str
) -> tuple[Literal["more helps", "enough for this size", "INCONCLUSIVE"], str]:
    falls = float(np.mean(losses[1:, 0] > losses[1:, -1]))
    if falls < 0.975:
        return "INCONCLUSIVE", "the held-out loss does not surely fall from the least text to the most"
    if float(np.mean(B[1:] > 0)) < 0.975:
        return "INCONCLUSIVE", "the points lie on no falling curve"
    gain = _interval(gains[1:])
    said = f"{percent(gain.low)} to {percent(gain.high)}"
    if gain.high - gain.low > TOO_WIDE:
        return "INCONCLUSIVE", f"{whose} would lower the held-out loss by {said}, which is anything"
    if gain.low >= WORTHWHILE:
        return "more helps", f"{whose} would lower the held-out loss by {said}"
    if gain.high < WORTHWHILE:
        return "enough for this size", f"{whose} would lower the held-out loss by {said} only"
    return "INCONCLUSIVE", f"{whose} would lower the held-out loss by {said}, which may be worth it or not"


def _inconclusive(points: tuple[Point, ...], because: str) -> LearningCurve:
    nothing = dict.fromkeys(("E", "B", "b", "b_interval", "at_all", "at_twice", "gain"))
    return LearningCurve(outcome="INCONCLUSIVE", because=because, points=points, line=(), **nothing)


def _resampled(
    trials: Sequence[Trial], shares: Sequence[float], held_out_bytes: Sequence[int], seed: int
) -> tuple[Floats, Floats]:
    """Tokens (P,) and bits per byte (1 + RESAMPLES, P) of each share; the first row is of what was measured."""
    bits = [np.array([trial.nats for trial in trials if trial.share == share]) / math.log(2) for share in shares]
    tokens = np.array(
        [np.mean([trial.tokens for trial in trials if trial.share == share]) for share in shares], dtype=np.float64
    )
    sizes = np.asarray(held_out_bytes, dtype=np.float64)
    draw = np.random.default_rng(seed)
    losses = np.empty((1 + RESAMPLES, len(shares)))
    losses[0] = [some.mean(0).sum() / sizes.sum() for some in bits]
    for row in range(1, 1 + RESAMPLES):
        documents = draw.integers(0, len(sizes), len(sizes))
        for place, some in enumerate(bits):
            subsets = draw.integers(0, len(some), len(some))
            losses[row, place] = some[subsets][:, documents].mean(0).sum() / sizes[documents].sum()
    return tokens, losses


def _predicted(tokens: float, said: Floats) -> Predicted:
    return Predicted(tokens=float(tokens), bits_per_byte=float(said[0]), interval=_interval(said[1:]))


def _interval(values: Floats) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(low=float(low), high=float(high))
