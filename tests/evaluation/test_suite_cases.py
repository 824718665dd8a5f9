"""What of a suite must not be in training text."""

from __future__ import annotations

from loresmith.evaluation.suite import Suite
from loresmith.evaluation.suite_cases import cases_of


def test_prompt_and_answer_count_and_a_regular_expression_is_no_text() -> None:
    cases = [
        {"name": "asked", "prompt": "Which valve?", "expected": "The red one"},
        {"name": "found", "prompt": "Which part?", "expected": "S-[0-9]+", "scorer": "regex"},
    ]
    rows = [row for batch in cases_of(Suite(name="s", cases=cases), "digest") for row in batch.to_pylist()]
    assert rows == [
        {"suite": "digest", "case": "asked", "text": "Which valve?\nThe red one", "answered": True},
        {"suite": "digest", "case": "found", "text": "Which part?", "answered": False},
    ]
