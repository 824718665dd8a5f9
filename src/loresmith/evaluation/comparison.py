"""A model held against the baselines on the same documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from loresmith.evaluation.intervals import Interval
from loresmith.evaluation.reports import Baseline, Verdict
from loresmith.evaluation.scores import DocumentScore, bits_per_byte, bits_per_byte_interval


def hold_against(
    baseline: Baseline,
    scores: Sequence[DocumentScore],
    baseline_nats: Mapping[str, float] | None,
    resamples: int,
    seed: int,
) -> Verdict:
    """Say whether the model is below the baseline, above it, or whether these documents cannot tell.

    Where the baseline has a number for each document, the difference is taken document by document before it is
    resampled: what makes one file easier than another then cancels. Otherwise (a compressor's size is of the whole
    text) the model's own interval is moved by the baseline's number.

    Args:
        baseline: the number to beat.
        scores: the model's, one a document.
        baseline_nats: the baseline's nats by document, if it has them.
        resamples, seed: of the bootstrap.
    """
    if baseline_nats is None:
        interval = _moved(bits_per_byte_interval(scores, resamples, seed), -baseline.bits_per_byte)
    else:
        differences = [replace(score, nats=score.nats - baseline_nats[score.key]) for score in scores]
        interval = bits_per_byte_interval(differences, resamples, seed)
    if interval is None or interval.low <= 0 <= interval.high:
        verdict: Literal["below", "above", "undecided"] = "undecided"
    else:
        verdict = "below" if interval.high < 0 else "above"
    return Verdict(
        baseline=baseline,
        difference=bits_per_byte(scores) - baseline.bits_per_byte,
        interval=interval,
        paired=baseline_nats is not None,
        verdict=verdict,
    )


def _moved(interval: Interval | None, by: float) -> Interval | None:
    return None if interval is None else Interval(low=interval.low + by, high=interval.high + by)
