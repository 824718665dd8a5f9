"""Each score of a document is what its source's formula says, however fast it is had."""

from __future__ import annotations

import math
from pydoc_data.topics import topics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.rules import repetition
from loresmith.data.rules.measures import Measures
from loresmith.data.rules.repetition import ngram_repetition
from loresmith.data.rules.words import words_of
from tests.data.rules.slow_measures import slow_scores

REAL = sorted(topics.values(), key=len)[5:60:6]
FEW_WORDS = st.lists(
    st.sampled_from(
        [
            "the",
            "And",
            "a",
            "b",
            "cc",
            "# x",
            "- 1",
            "...",
            "…",
            ".",
            "\n",
            "\n\n",
            "\n \n",
            "{",
            "水泵",
            "Ö",
            "3.2E-01",
            "1e5,",
            "2e",
            "e3",
        ]
    ),
    min_size=1,
    max_size=60,
).map(" ".join)


def _agree(text: str) -> None:
    scores = Measures().look(text, "en", "", ()).scores
    expected = slow_scores(text)
    assert {name: scores[name] for name in scores if name not in ("sentences", "policy_lines")} == pytest.approx(
        expected
    )


@given(FEW_WORDS.filter(lambda text: bool(text.strip())))
@settings(max_examples=150, deadline=None)
def test_each_score_is_what_its_formula_says(text: str) -> None:
    _agree(text)


@pytest.mark.parametrize("number", range(len(REAL)))
def test_each_score_of_a_real_page_is_what_its_formula_says(number: int) -> None:
    _agree(REAL[number][:6000])


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_has_scores_that_are_numbers(text: str) -> None:
    scores = Measures().look(text, "en", "", ()).scores
    assert all(math.isfinite(score) and score >= 0 for score in scores.values())
    shares = [name for name in scores if name.endswith(("_characters", "_lines")) or name == "alphabetic_words"]
    assert all(scores[name] <= 1 for name in shares)


def test_a_text_without_ink_is_empty() -> None:
    finding = Measures().look(" \n\t\n", "en", "", ())
    assert finding.flags == ("empty",)
    assert finding.scores == {"characters": 4.0, "words": 0.0, "lines": 0.0}


def test_a_phrase_said_over_and_over_covers_no_more_than_the_text() -> None:
    scores = ngram_repetition(words_of("stop it " * 500))
    assert scores["top_2gram_characters"] == 1.0
    assert 0.98 < scores["duplicate_10gram_characters"] <= 1.0


def test_ngrams_of_texts_too_long_for_one_number_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    words = words_of(REAL[5].lower())
    expected = ngram_repetition(words)
    monkeypatch.setattr(repetition, "_PACKED_BITS", 0)
    assert ngram_repetition(words) == expected


def test_sentences_count_in_lines_of_three_words_that_end_with_one() -> None:
    text = "It runs. It stops! Does it?\nNo end here\nWell done.\nRead e.g. the manual first.\n“Stop at once.”"
    assert Measures().look(text, "en", "", ()).scores["sentences"] == 3 + 2 + 1


def test_policies_and_filler_are_found() -> None:
    finding = Measures().look("Our Cookie Policy\nLorem ipsum dolor\nWe use cookies here\nNo more", "en", "", ())
    assert finding.scores["policy_lines"] == 0.5
    assert finding.flags == ("lorem ipsum",)


def test_stop_words_are_those_of_the_language() -> None:
    text = "Die Pumpe und der Motor ist nicht von hier"
    assert Measures().look(text, "de", "", ()).scores["stop_words"] == 6
    assert Measures().look(text, "en", "", ()).scores["stop_words"] == 0
    assert "stop_words" not in Measures().look(text, "zh", "", ()).scores
