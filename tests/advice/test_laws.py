"""The laws give what their papers print."""

from __future__ import annotations

import math

import pytest

from loresmith.advice.laws import (
    BESIROGLU,
    HOFFMANN,
    LAWS,
    MUENNIGHOFF,
    REPEATED_TOKENS,
    LossLaw,
    constrained_loss,
    largest_model,
    worth_of_parameters,
    worth_of_tokens,
)


@pytest.mark.parametrize(
    ("parameters", "tokens"), [(400e6, 9.2e9), (1e9, 27.1e9), (10e9, 410.1e9), (67e9, 4.1e12), (175e9, 12.0e12)]
)
def test_chinchillas_third_approach_asks_for_the_tokens_of_its_table_a3(parameters: float, tokens: float) -> None:
    assert HOFFMANN.tokens_for(parameters) == pytest.approx(tokens, rel=0.15)  # its exponents have four digits


def test_the_corrected_law_agrees_with_the_rule_of_twenty_at_chinchillas_own_size() -> None:
    assert BESIROGLU.tokens_for(70e9) / 70e9 == pytest.approx(20, rel=0.2)
    assert HOFFMANN.tokens_for(70e9) / 70e9 > 50  # what the replication found wrong with the first fit


def test_tokens_are_best_where_neither_more_parameters_nor_more_text_would_gain() -> None:
    for law in LAWS:
        parameters = 1e8
        tokens = law.tokens_for(parameters)
        best = law.loss(parameters, tokens)
        for factor in (0.8, 0.9, 1.1, 1.25):
            assert law.loss(parameters * factor, tokens / factor) > best
        assert law.parameters_for(tokens) == pytest.approx(parameters)


def test_a_law_is_what_its_formula_says() -> None:
    assert LossLaw("", "", E=1, A=8, B=9, alpha=1, beta=2).loss(4, 3) == 1 + 2 + 1
    assert HOFFMANN.loss(70e9, 1.4e12) == pytest.approx(1.69 + 0.083 + 0.14, abs=0.02)


def test_text_that_is_seen_four_times_is_nearly_new_and_forty_times_nearly_useless() -> None:
    unique = 1e9
    assert worth_of_tokens(unique, unique / 2) == unique / 2
    assert worth_of_tokens(unique, unique) == unique
    assert worth_of_tokens(unique, 4 * unique) > 0.93 * 4 * unique
    saturated = unique * (1 + REPEATED_TOKENS)
    assert worth_of_tokens(unique, unique * (1 + REPEATED_TOKENS)) == pytest.approx(
        unique + (saturated - unique) * (1 - 1 / math.e)
    )
    assert worth_of_tokens(unique, 1000 * unique) == pytest.approx(saturated)


def test_excess_parameters_count_less_and_the_best_size_is_the_papers() -> None:
    unique = 1e9
    best = MUENNIGHOFF.parameters_for(unique)
    assert best == pytest.approx(0.051 * unique, rel=0.01)  # as in the authors' own code
    assert worth_of_parameters(unique, best / 2) == best / 2
    assert best < worth_of_parameters(unique, 10 * best) < 10 * best
    assert constrained_loss(best, unique, unique) == pytest.approx(MUENNIGHOFF.loss(best, unique))
    assert constrained_loss(best, unique, 4 * unique) > MUENNIGHOFF.loss(best, 4 * unique)


def test_the_largest_model_sees_twenty_tokens_a_parameter_in_four_epochs() -> None:
    assert largest_model(500e6) == 100e6
