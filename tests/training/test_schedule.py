from __future__ import annotations

from itertools import pairwise

import pytest
from pydantic import BaseModel, ValidationError

from loresmith.training.quantities import TokenCount
from loresmith.training.schedule import ScheduleSettings, learning_rate_factor

BUDGET, STEP = 1000, 10


def curve(**settings: object) -> list[float]:
    chosen = ScheduleSettings(**{"warmup_tokens": 100, **settings})
    return [learning_rate_factor(chosen, done, STEP, BUDGET) for done in range(0, BUDGET, STEP)]


@pytest.mark.parametrize("schedule", ["warmup-stable-decay", "cosine", "linear"])
def test_it_rises_to_its_peak_and_then_only_falls(schedule: str) -> None:
    factors = curve(schedule=schedule)
    top = factors.index(max(factors))
    assert factors[0] == pytest.approx(0.1)
    assert top in (8, 9)
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[-1] < 0.05


def test_warmup_stable_decay_is_flat_and_then_a_line() -> None:
    factors = curve(schedule="warmup-stable-decay", decay_share=0.4, final_share=0.1)
    assert factors[9:61] == [1.0] * 52
    falls = [before - after for before, after in pairwise(factors[61:])]
    assert falls == pytest.approx([0.9 * STEP / 400] * len(falls))
    assert factors[-1] == pytest.approx(0.1 + 0.9 * STEP / 400)


@pytest.mark.parametrize(("budget", "warmup"), [(20_000, 2_000), (800_000, 80_000), (10_000_000, 80_000)])
def test_a_warmup_that_is_not_said_leaves_room_for_the_rest(budget: int, warmup: int) -> None:
    settings = ScheduleSettings()
    factors = [learning_rate_factor(settings, done, 100, budget) for done in (warmup // 2 - 100, warmup - 100, warmup)]
    assert factors == pytest.approx([0.5, 1.0, 1.0])


def test_cosine_is_half_way_at_half_time() -> None:
    assert curve(schedule="cosine")[50] == pytest.approx(0.5)


class Counted(BaseModel):
    tokens: TokenCount


@pytest.mark.parametrize(
    ("written", "count"),
    [("2M", 2_000_000), ("500k", 500_000), ("1.5B", 1_500_000_000), ("4096", 4096), (4096, 4096), ("2_048", 2048)],
)
def test_counts_are_written_as_people_write_them(written: object, count: int) -> None:
    assert Counted(tokens=written).tokens == count


@pytest.mark.parametrize("written", ["2X", "M", "-3k", "0", 0, "1.0001k", "two", ""])
def test_what_is_no_count_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        Counted(tokens=written)
