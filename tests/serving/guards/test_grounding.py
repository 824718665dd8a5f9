"""An answer says what stands in the passages, or is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from loresmith.serving.guards.grounding import GroundingCheck
from loresmith.serving.guards.guard import Context
from loresmith.serving.guards.settings import GroundingGuard
from tests.serving.guards.guarding import answer

PASSAGES = (
    "The oil filter of pump P-7 is behind the left panel. It is changed every 500 hours, with the engine cold.",
    "Invoices are paid within 30 days of receipt. Discounts of 2 % are granted for payment within 10 days.",
)


def share(text: str, check: GroundingCheck | None = None) -> float:
    return (check or GroundingCheck(GroundingGuard(kind="grounding"))).support(text, PASSAGES)[0]


@pytest.mark.parametrize(
    "text",
    [
        "The oil filter of pump P-7 is behind the left panel [1].",
        "Behind the left panel you find the oil filter of the pump.",
        "Change the oil filter every 500 hours, when the engine is cold.",
        "Invoices are to be paid within 30 days of receipt.",
        "I see. You're welcome!",
        "",
    ],
)
def test_what_stands_in_a_passage_is_supported(text: str) -> None:
    assert share(text) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "The oil filter is changed every 900 hours, with the engine cold.",
        "The brake fluid reservoir sits under the driver's seat.",
        "The oil filter of the pump is paid within 30 days of receipt.",
        "Ada Lovelace designed the pump in London together with Babbage.",
    ],
)
def test_what_does_not_is_not(text: str) -> None:
    assert share(text) == 0.0


def test_an_answer_of_which_too_little_is_supported_is_refused() -> None:
    good, bad = "The oil filter is behind the left panel.", "The brake fluid sits under the driver's seat."
    context = Context(passages=PASSAGES)
    settings = [{"kind": "grounding", "minimum_share": 0.6}]
    text = f"{good} {good} {bad}"
    assert answer(settings, text, context) == (text, None)
    out, stopped = answer(settings, f"{good} {bad}", context)
    assert out == ""
    assert stopped is not None
    assert stopped.verdicts[0].lengths == (len(bad) + 1,)
    assert answer(settings, bad) == (bad, None)  # nothing was retrieved: there is nothing to hold it to


def test_an_embedder_knows_other_words_and_numbers_still_count() -> None:
    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        """Everything about time is one direction, everything else another."""
        about_time = [("hours" in text) or ("often" in text) or ("interval" in text) for text in texts]
        return np.array([[1.0, 0.0] if time else [0.0, 1.0] for time in about_time], dtype=np.float32)

    check = GroundingCheck(GroundingGuard(kind="grounding"), embed)
    text = "Service intervals amount to 500 units of runtime."
    assert share(text) == 0.0
    assert share(text, check) == 1.0
    assert share(text.replace("500", "900"), check) == 0.0
