"""More text never makes a verdict worse, every threshold says where it is from, and no text is enough for nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest

from loresmith.advice.verdict import judge
from loresmith.advice.verdict_rules import CONCERNS, LEVELS, REQUIREMENTS

SCRATCH = 100_000_000


def numbers(tokens: float, documents: int = 1000, **more: float) -> dict[str, float]:
    return {
        "bytes": 4 * tokens,
        "retrievable_bytes": 4 * tokens,
        "usable_documents": documents,
        "different_tokens": tokens,
        "largest_model": tokens / 5,
        **more,
    }


@pytest.mark.parametrize(
    ("tokens", "level"),
    [
        (0, "nothing"),
        (249, "nothing"),
        (250, "retrieval only"),
        (749_999, "retrieval only"),
        (750_000, "fine-tuning"),
        (9_999_999, "fine-tuning"),
        (10_000_000, "continued pre-training"),
        (499_999_999, "continued pre-training"),
        (500_000_000, "pre-training from scratch"),
        (1e13, "pre-training from scratch"),
    ],
)
def test_the_level_follows_from_the_text(tokens: float, level: str) -> None:
    verdict = judge(numbers(tokens), SCRATCH)
    assert verdict.level == level
    assert verdict.next


def test_more_text_is_never_worse() -> None:
    reached = [LEVELS.index(judge(numbers(10**power), SCRATCH).level) for power in range(14)]
    assert all(less <= more for less, more in pairwise(reached))


def test_text_that_may_only_be_retrieved_is_not_trained_on() -> None:
    assert judge(numbers(0, documents=0) | {"retrievable_bytes": 1e9}, SCRATCH).level == "retrieval only"


def test_a_level_needs_those_below_it() -> None:
    assert judge(numbers(1e9, documents=3), SCRATCH).level == "retrieval only"


def test_the_size_that_is_wanted_decides_what_is_enough_for_it() -> None:
    assert judge(numbers(20e6), 4_000_000).level == "pre-training from scratch"
    assert judge(numbers(20e6), 5_000_000).level == "continued pre-training"


def test_every_rule_says_why_and_where_from() -> None:
    for rule in (*REQUIREMENTS, *CONCERNS):
        assert rule.source
    verdict = judge(numbers(2e6), SCRATCH)
    assert len(verdict.reasons) == len(REQUIREMENTS)
    assert all(reason.because and reason.source for reason in verdict.reasons)


def test_what_has_to_be_settled_is_raised_and_does_not_change_the_level() -> None:
    raised = {concern.measure: concern.beyond + 0.5 for concern in CONCERNS}
    verdict = judge(numbers(2e6, **raised), SCRATCH)
    assert verdict.level == judge(numbers(2e6), SCRATCH).level
    assert len(verdict.conditions) == len(CONCERNS)
    weights = [condition.weight for condition in verdict.conditions]
    assert weights == sorted(weights)
    assert "before a training" in verdict.next[0]
    within = {concern.measure: concern.beyond for concern in CONCERNS}
    assert judge(numbers(2e6, **within), SCRATCH).conditions == ()
    assert judge({"bytes": 0, **raised}, SCRATCH).conditions == ()  # there is no text to have them
