"""In no window of time is more taken than a burst and what the window brings, whatever is set aside and given back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loresmith.serving.quotas.rate import Rate
from loresmith.serving.quotas.steady_clock import SteadyClock

SLACK = 1e-6

pauses = st.floats(0, 30)
costs = st.floats(0.01, 10)
shares = st.floats(0, 1)


@given(
    burst=st.floats(1, 10),
    steps=st.lists(st.tuples(pauses, costs, st.integers(0, 3), st.lists(shares, max_size=3)), max_size=40),
)
def test_no_window_holds_more_than_a_burst_and_what_it_brings(
    burst: float, steps: list[tuple[float, float, int, list[float]]]
) -> None:
    rate, now = Rate(), 0.0
    taken: list[tuple[float, float]] = []  # when it was admitted, and how much it used in the end
    open_ones: list[tuple[int, int, float]] = []
    for pause, cost, settled_first, used_shares in steps:
        now += pause
        for share in used_shares:
            if open_ones:
                number, place, reserved = open_ones.pop(settled_first % len(open_ones))
                rate.settle(now, number, share * reserved)
                taken[place] = (taken[place][0], share * reserved)
        if rate.wait(now, cost, burst) == 0.0:
            open_ones.append((rate.reserve(now, cost), len(taken), cost))
            taken.append((now, cost))
    for first in range(len(taken)):
        used = 0.0
        for at, amount in taken[first:]:
            used += amount
            assert used <= burst + (at - taken[first][0]) + SLACK


@given(burst=st.floats(1, 10), steps=st.lists(st.tuples(pauses, costs), max_size=40))
def test_it_admits_exactly_what_a_token_bucket_admits(burst: float, steps: list[tuple[float, float]]) -> None:
    rate, now, level = Rate(), 0.0, burst
    for pause, cost in steps:
        now += pause
        level = min(burst, level + pause)
        if abs(level - cost) < SLACK:
            continue
        wait = rate.wait(now, cost, burst)
        assert (wait == 0.0) is (cost <= level)
        if wait == 0.0:
            rate.take(now, cost)
            level -= cost
        elif wait is not None:
            assert abs(wait - (cost - level)) < SLACK
            assert rate.wait(now + wait, cost, burst) == 0.0


@given(burst=st.floats(1, 10), uses=st.lists(st.tuples(costs, shares), max_size=20))
def test_what_is_settled_at_once_counts_as_what_was_used(burst: float, uses: list[tuple[float, float]]) -> None:
    settled, plain = Rate(), Rate()
    for cost, share in uses:
        settled.settle(0.0, settled.reserve(0.0, cost), share * cost)
        plain.take(0.0, share * cost)
        assert abs((settled.wait(0.0, burst, burst) or 0) - (plain.wait(0.0, burst, burst) or 0)) < SLACK


def test_what_has_come_back_by_itself_is_not_given_back_again() -> None:
    rate = Rate()
    first = rate.reserve(0.0, 10.0)
    rate.reserve(10.0, 10.0)  # all of the first has come back by now
    rate.settle(10.0, first, 0.0)
    assert rate.wait(10.0, 10.0, 10.0) == 10.0


def test_what_was_used_beyond_is_owed() -> None:
    rate = Rate()
    rate.settle(0.0, rate.reserve(0.0, 1.0), 31.0)
    assert rate.wait(0.0, 1.0, 2.0) == 30.0


def test_what_is_more_than_a_burst_never_fits() -> None:
    assert Rate().wait(0.0, 2.0, 1.0) is None


@given(steps=st.lists(st.floats(-1e6, 1e6), max_size=30))
def test_the_clock_never_goes_back_and_never_stands_still(steps: list[float]) -> None:
    seen = [0.0]
    clock = SteadyClock(lambda: seen[0])
    before = clock()
    for step in steps:
        seen[0] += step
        assert abs(clock() - before - max(0.0, step)) < SLACK * 1e4
        before = clock()
