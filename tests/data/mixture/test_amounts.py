"""How much of each source is drawn."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.mixture.amounts import Stage, Supply, amounts
from loresmith.errors import UserError


def test_weights_are_kept_where_there_is_enough() -> None:
    supplies = {"manuals": Supply(1000, 4), "tickets": Supply(1000, 4)}
    [drawn] = amounts(supplies, [Stage(1, {"manuals": 3, "tickets": 1})], 2000)
    assert drawn == {"manuals": 1500, "tickets": 500}


def test_what_a_source_cannot_give_the_others_give() -> None:
    supplies = {"a": Supply(100, 2), "b": Supply(10_000, 1), "c": Supply(10_000, 1)}
    [drawn] = amounts(supplies, [Stage(1, {"a": 2, "b": 1, "c": 1})], 2000)
    assert drawn == {"a": 200, "b": 900, "c": 900}


def test_without_a_target_the_shares_hold_and_one_source_is_used_up() -> None:
    supplies = {"a": Supply(100, 2), "b": Supply(10_000, 1)}
    [drawn] = amounts(supplies, [Stage(1, {"a": 1, "b": 3})], None)
    assert drawn == {"a": 200, "b": 600}


def test_stages_have_weights_of_their_own_and_caps_hold_over_all_of_them() -> None:
    supplies = {"a": Supply(1000, 1), "b": Supply(1000, 1)}
    first, second = amounts(supplies, [Stage(0.5, {"a": 1}), Stage(0.5, {"a": 1, "b": 1})], 1600)
    assert first == {"a": 800, "b": 0}
    assert second == {"a": 200, "b": 600}


def test_an_empty_source_with_a_weight_is_refused() -> None:
    supplies = {"a": Supply(0, 1), "b": Supply(10, 1)}
    with pytest.raises(UserError, match="the source 'a' has no document"):
        amounts(supplies, [Stage(1, {"a": 1, "b": 1})], None)
    assert amounts(supplies, [Stage(1, {"a": 0, "b": 1})], None) == [{"a": 0, "b": 10}]


names = st.sampled_from("abcd")


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(names, st.tuples(st.integers(1, 1000), st.floats(0.1, 5)), min_size=1),
    st.lists(st.dictionaries(names, st.floats(0.1, 5), min_size=1), min_size=1, max_size=3),
    st.floats(1, 5000),
)
def test_no_source_gives_more_than_it_may_and_the_target_is_met_if_it_can_be(
    given_sources: dict[str, tuple[int, float]], weights: list[dict[str, float]], target: float
) -> None:
    supplies = {name: Supply(*supply) for name, supply in given_sources.items()}
    stages = [
        Stage(1 / len(weights), known)
        for each in weights
        if (known := {name: weight for name, weight in each.items() if name in supplies})
    ]
    stages = [Stage(1 / len(stages), stage.weights) for stage in stages]
    if not stages:
        return
    drawn = amounts(supplies, stages, target)
    for name, supply in supplies.items():
        assert sum(stage[name] for stage in drawn) <= supply.most * (1 + 1e-9)
    for stage, got in zip(stages, drawn, strict=True):
        total = sum(got.values())
        assert total <= target * stage.share * (1 + 1e-9)
        if total < target * stage.share * (1 - 1e-9):
            used_up = {
                name for name, supply in supplies.items() if sum(s[name] for s in drawn) > supply.most * (1 - 1e-9)
            }
            assert set(stage.weights) <= used_up
