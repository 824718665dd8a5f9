"""Groups that wait are served in proportion to their shares, in tokens, and no place is lost."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.serving.quotas.fair_queue import TURN_TOKENS, FairQueue, QueueFull

PATIENCE = 60.0

lines = st.dictionaries(
    st.sampled_from("abcd"),
    st.tuples(st.integers(1, 5), st.lists(st.integers(1, 5000), min_size=1, max_size=60)),
    min_size=2,
)


@given(lines=lines, running=st.integers(1, 4))
@settings(deadline=None, max_examples=50)
def test_groups_get_tokens_by_their_shares(lines: dict[str, tuple[int, list[int]]], running: int) -> None:
    served: list[tuple[str, int]] = []

    async def ask(queue: FairQueue, group: str, share: int, cost: int) -> None:
        await queue.enter(group, share, cost, PATIENCE)
        assert queue.at_work <= running
        served.append((group, cost))
        await asyncio.sleep(0)
        queue.leave()

    async def run() -> None:
        queue = FairQueue(running, waiting=100)
        for _ in range(running):
            await queue.enter("first", 1, 1, PATIENCE)
        asked = [
            asyncio.create_task(ask(queue, group, share, cost))
            for group, (share, costs) in lines.items()
            for cost in costs
        ]
        await asyncio.sleep(0)
        for _ in range(running):
            queue.leave()
        await asyncio.gather(*asked)
        assert queue.at_work == 0

    asyncio.run(run())
    longest = max(cost for _, costs in lines.values() for cost in costs)
    totals: Counter[str] = Counter()
    left = {group: len(costs) for group, (_, costs) in lines.items()}
    for group, cost in served:
        totals[group] += cost
        left[group] -= 1
        waiting = [name for name in lines if left[name]]
        for one in waiting:
            for other in waiting:
                behind = totals[one] / lines[one][0] - totals[other] / lines[other][0]
                # Whoever is at work was served together, so the order within it is any.
                assert behind <= TURN_TOKENS + (2 + running) * longest
    assert not any(left.values())


@given(
    steps=st.lists(st.tuples(st.sampled_from(["enter", "leave", "cancel"]), st.sampled_from("ab")), max_size=60),
    running=st.integers(1, 3),
)
@settings(deadline=None, max_examples=100)
def test_no_place_is_lost_or_given_twice(steps: list[tuple[str, str]], running: int) -> None:
    async def run() -> None:
        queue = FairQueue(running, waiting=5)
        tasks: list[asyncio.Task[None]] = []
        inside = 0

        async def ask(group: str) -> None:
            nonlocal inside
            await queue.enter(group, 1, 100, PATIENCE)
            inside += 1
            try:
                await asyncio.Event().wait()
            finally:
                inside -= 1
                queue.leave()

        for what, group in steps:
            if what == "enter" and not queue.is_full(group):
                tasks.append(asyncio.create_task(ask(group)))
            elif tasks:
                tasks.pop(0 if what == "leave" else -1).cancel()
            if what != "cancel":  # sometimes a turn comes to one that has just given up
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        tasks = [task for task in tasks if not task.done()]
        assert inside == min(running, len(tasks)) == queue.at_work
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (queue.at_work, inside, queue.waiting_of("a"), queue.waiting_of("b")) == (0, 0, 0, 0)

    asyncio.run(run())


def test_a_flood_of_one_group_does_not_hold_up_another() -> None:
    async def run() -> list[str]:
        queue = FairQueue(1, waiting=1000)
        await queue.enter("first", 1, 1, PATIENCE)
        served: list[str] = []

        async def ask(group: str) -> None:
            await queue.enter(group, 1, 500, PATIENCE)
            served.append(group)
            queue.leave()

        asked = [asyncio.create_task(ask("flood")) for _ in range(500)]
        await asyncio.sleep(0)
        asked += [asyncio.create_task(ask("late")) for _ in range(3)]
        await asyncio.sleep(0)
        queue.leave()
        await asyncio.gather(*asked)
        return served

    assert asyncio.run(run()).index("late") <= 3


def test_a_share_of_three_gets_three_quarters() -> None:
    async def run() -> list[str]:
        queue = FairQueue(1, waiting=1000)
        await queue.enter("first", 1, 1, PATIENCE)
        served: list[str] = []

        async def ask(group: str, share: int) -> None:
            await queue.enter(group, share, 100, PATIENCE)
            served.append(group)
            queue.leave()

        asked = [
            asyncio.create_task(ask(group, share)) for group, share in (("one", 1), ("three", 3)) for _ in range(400)
        ]
        await asyncio.sleep(0)
        queue.leave()
        await asyncio.gather(*asked)
        return served

    served = asyncio.run(run())
    assert 0.7 < served[:400].count("three") / 400 < 0.8


def test_a_turn_that_comes_as_its_caller_gives_up_goes_to_the_next() -> None:
    async def run() -> None:
        queue = FairQueue(1, waiting=10)
        await queue.enter("a", 1, 1, PATIENCE)
        gone, next_one = (asyncio.create_task(queue.enter("a", 1, 1, PATIENCE)) for _ in range(2))
        await asyncio.sleep(0)
        queue.leave()  # the turn is the first one's now, who has not run since,
        gone.cancel()  # and never will
        await asyncio.wait_for(next_one, 20)
        assert gone.cancelled()
        assert queue.at_work == 1

    asyncio.run(run())


def test_the_queue_of_a_group_is_bounded_and_others_are_not_turned_away_for_it() -> None:
    async def run() -> None:
        queue = FairQueue(1, waiting=2)
        await queue.enter("a", 1, 1, PATIENCE)
        waiting = [asyncio.create_task(queue.enter("a", 1, 1, PATIENCE)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await queue.enter("a", 1, 1, PATIENCE)
        other = asyncio.create_task(queue.enter("b", 1, 1, PATIENCE))
        await asyncio.sleep(0)
        for _ in range(3):
            queue.leave()
        await asyncio.gather(*waiting, other)

    asyncio.run(run())


def test_patience_ends() -> None:
    async def run() -> None:
        queue = FairQueue(1, waiting=2)
        await queue.enter("a", 1, 1, PATIENCE)
        with pytest.raises(TimeoutError):
            await queue.enter("a", 1, 1, 0.01)
        assert queue.waiting_of("a") == 0
        queue.leave()
        await queue.enter("a", 1, 1, 0.01)

    asyncio.run(run())
