"""What a key, a caller, a group may use, in a minute, at once, in a day; across restarts and jumps of the clock."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.errors import Failure, UserError
from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.principal import Principal
from loresmith.serving.identity.settings import GroupSettings
from loresmith.serving.quotas.over_quota import OverQuota
from loresmith.serving.quotas.quotas import SAVED_EVERY_SECONDS, Quotas
from loresmith.serving.quotas.settings import Limits, QuotaSettings

GROUPS = Groups({"ward": GroupSettings(members=("user:ada", "user:bea"), priority=2), "lab": GroupSettings()})
ADA = GROUPS.principal("user:ada", (), "k1")
ADA_AGAIN = GROUPS.principal("user:ada", (), "k2")
BEA = GROUPS.principal("user:bea", (), "k3")
CAL = GROUPS.principal("user:cal", (), "https://issuer#1")
PAT = GROUPS.principal("user:pat", ("lab",), "k4")


class Time:
    """A clock and a calendar that are moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.date = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.date


def quotas(time: Time, file: Path | None = None, **keys: object) -> Quotas:
    return Quotas(QuotaSettings.model_validate(keys), GROUPS, file, time, time.now)


async def use(some: Quotas, principal: Principal, tokens: int = 10, used: int | None = None) -> None:
    async with some.admit(principal, tokens) as grant:
        if used is not None:
            grant.settle(used)


async def failing(some: Quotas, used: int | None) -> None:
    async with some.admit(ADA, 100) as grant:
        if used is not None:
            grant.settle(used)
        raise ZeroDivisionError


async def attempt(some: Quotas, principal: Principal, tokens: int = 10) -> OverQuota | None:
    try:
        await use(some, principal, tokens)
    except OverQuota as over:
        return over
    return None


async def refused(some: Quotas, principal: Principal, tokens: int = 10) -> OverQuota:
    with pytest.raises(OverQuota) as over:
        await use(some, principal, tokens)
    return over.value


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def started() -> None:
        await body()

    asyncio.run(started())


def test_requests_per_minute_and_when_to_come_again() -> None:
    async def body() -> None:
        time = Time()
        some = quotas(time, each_caller={"requests_per_minute": 30, "request_burst": 2})
        await use(some, ADA)
        await use(some, ADA_AGAIN)  # the same caller with another key
        over = await refused(some, ADA)
        assert (over.what, over.retry_after_seconds) == ("30 requests per minute of user:ada", pytest.approx(2.0))
        await use(some, BEA)
        time.seconds += over.retry_after_seconds or 0
        await use(some, ADA)

    run(body)


def test_keys_and_groups_are_counted_too_and_a_refusal_costs_nothing() -> None:
    async def body() -> None:
        some = quotas(
            Time(),
            each_key={"requests_per_minute": 6, "request_burst": 1},
            groups={"ward": {"requests_per_minute": 6, "request_burst": 2}},
        )
        await use(some, ADA)
        assert (await refused(some, ADA)).what == "6 requests per minute of key k1"
        await use(some, BEA)
        assert (await refused(some, ADA_AGAIN)).what == "6 requests per minute of group ward"
        for _ in range(3):
            await use(some, CAL)  # in no group, and a token has no key's limits

    run(body)


def test_single_callers_have_limits_of_their_own() -> None:
    async def body() -> None:
        some = quotas(Time(), each_caller={"tokens_per_day": 10}, callers={"user:bea": {"tokens_per_day": 20}})
        await use(some, BEA, 20)
        assert (await refused(some, ADA, 11)).retry_after_seconds is None

    run(body)


def test_tokens_are_set_aside_and_given_back() -> None:
    async def body() -> None:
        some = quotas(Time(), each_caller={"tokens_per_minute": 100})
        await use(some, ADA, 100, used=40)
        over = await refused(some, ADA, 100)
        assert over.retry_after_seconds == pytest.approx(24.0)
        await use(some, ADA, 60)  # not settled: all of it counts
        assert (await refused(some, ADA, 1)).retry_after_seconds == pytest.approx(0.6)
        over = await refused(some, ADA, 101)
        assert (over.what, over.retry_after_seconds) == ("100 tokens in one request of user:ada", None)

    run(body)


def test_a_failed_request_counts_in_full_unless_it_says_otherwise() -> None:
    async def body() -> None:
        some = quotas(Time(), each_caller={"tokens_per_day": 100})
        for used, left in ((0, 100), (None, 0)):
            with pytest.raises(ZeroDivisionError):
                await failing(some, used)
            if left:
                await use(some, ADA, left, used=0)
        await refused(some, ADA, 1)

    run(body)


def test_requests_at_once() -> None:
    async def body() -> None:
        some = quotas(Time(), each_caller={"concurrent": 2}, groups={"ward": {"concurrent": 3}})
        async with some.admit(ADA, 1), some.admit(ADA, 1):
            assert "2 requests at the same time of user:ada" in (await refused(some, ADA)).what
            async with some.admit(BEA, 1):
                assert "group ward" in (await refused(some, BEA)).what
        await use(some, ADA)

    run(body)


def test_whoever_waits_in_vain_pays_nothing() -> None:
    async def body() -> None:
        some = quotas(
            Time(), running=1, patience_seconds=0.01, each_caller={"tokens_per_minute": 100, "tokens_per_day": 100}
        )
        async with some.admit(CAL, 1):
            over = await refused(some, ADA, 100)
            assert over.what == "requests at work at the same time"
            waiting = asyncio.create_task(use(some, ADA, 100))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await use(some, ADA, 100)
        assert some.at_work == 0

    run(body)


def test_a_full_queue_turns_away_before_anything_is_taken() -> None:
    async def body() -> None:
        some = quotas(Time(), running=1, waiting=0, each_caller={"requests_per_minute": 1, "request_burst": 1})
        async with some.admit(CAL, 1):
            for _ in range(3):
                assert (await refused(some, ADA)).what == "requests that may wait at the same time"
        await use(some, ADA)

    run(body)


def served_after_a_flood(late: Principal, flood: Principal = CAL) -> list[str]:
    """In which order they are served whom another keeps waiting: twenty of `flood`, then three of `late`."""
    served: list[str] = []

    async def body() -> None:
        some = quotas(Time(), running=1)

        async def ask(principal: Principal) -> None:
            async with some.admit(principal, 1000):
                served.append(principal.id)

        async with asyncio.TaskGroup() as asking, some.admit(flood, 1):
            for principal in [flood] * 20 + [late] * 3:
                asking.create_task(ask(principal))
                await asyncio.sleep(0)

    run(body)
    return served


def test_a_flood_of_one_group_does_not_hold_up_another() -> None:
    served = served_after_a_flood(PAT)
    assert served[:6] == ["user:cal", "user:pat"] * 3
    # Nor those whom no group names; but of one group whoever came first is first.
    assert served_after_a_flood(PAT, BEA)[:3] == ["user:bea", "user:bea", "user:pat"]
    assert served_after_a_flood(ADA, BEA) == ["user:bea"] * 20 + ["user:ada"] * 3


def test_a_group_is_served_by_its_share() -> None:
    assert served_after_a_flood(BEA)[:4] == ["user:cal", "user:bea", "user:bea", "user:cal"]


def test_a_days_budget_lasts_from_midnight_to_midnight() -> None:
    async def body() -> None:
        time = Time()
        some = quotas(time, each_caller={"tokens_per_day": 100})
        await use(some, ADA, 60)
        over = await refused(some, ADA, 50)
        assert (over.what, over.retry_after_seconds) == ("100 tokens per day of user:ada", 12 * 3600)
        time.date += timedelta(seconds=12 * 3600)
        await use(some, ADA, 100)

    run(body)


def test_what_was_set_aside_before_midnight_is_given_back_to_its_day() -> None:
    async def body() -> None:
        time = Time()
        some = quotas(time, each_caller={"tokens_per_day": 100})
        async with some.admit(ADA, 100) as grant:
            time.date += timedelta(days=1)
            grant.settle(10)
        await use(some, ADA, 100)
        time.date -= timedelta(days=1)
        await use(some, ADA, 90)
        await refused(some, ADA, 1)

    run(body)


@given(jumps=st.lists(st.integers(-400, 400), max_size=12))
@settings(deadline=None, max_examples=50)
def test_jumps_of_the_calendar_never_grant_a_day_twice(jumps: list[int]) -> None:
    async def body() -> None:
        time = Time()
        some = quotas(time, each_caller={"tokens_per_day": 100})
        used: dict[object, int] = {}
        for jump in [0, *jumps]:
            time.date = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(days=jump)
            for _ in range(3):
                over = await attempt(some, ADA, 40)
                assert over is None or 0 < (over.retry_after_seconds or 0) <= 86_400
                used[jump] = used.get(jump, 0) + (0 if over else 40)
        assert all(tokens == 80 for tokens in used.values())

    run(body)


def test_jumps_of_the_clock_neither_block_nor_grant_more_than_a_burst() -> None:
    async def body() -> None:
        time = Time()
        some = quotas(time, each_caller={"requests_per_minute": 60, "request_burst": 3})
        for jump in (-1e6, 1e6, -1e9, 0.0):
            time.seconds += jump
            admitted = 0
            while (over := await attempt(some, ADA)) is None and admitted < 10:
                admitted += 1
            assert admitted <= 3
            assert over is not None
            assert 0 < (over.retry_after_seconds or 0) <= 1.0
            time.seconds += 1.0
            await use(some, ADA)  # a second later there is one more, wherever the clock stands

    run(body)


def test_a_days_counts_outlive_the_gateway(tmp_path: Path) -> None:
    file = tmp_path / "state" / "quotas.db"
    keys = {"each_caller": {"tokens_per_day": 100}, "groups": {"ward": {"tokens_per_day": 120}}}

    async def first() -> None:
        some = quotas(Time(), file, **keys)
        await some.start()
        await use(some, ADA, 90, used=70)
        await some.close()
        assert some.saved

    async def second() -> None:
        some = quotas(Time(), file, **keys)
        await refused(some, ADA, 31)
        await use(some, ADA, 30)
        assert "group ward" in (await refused(some, BEA, 21)).what

    run(first)
    run(second)


def test_what_is_at_work_when_the_gateway_is_killed_counts(tmp_path: Path) -> None:
    file = tmp_path / "quotas.db"

    async def killed() -> None:
        some = quotas(Time(), file, each_caller={"tokens_per_day": 100})
        await some.start()
        context = some.admit(ADA, 80)
        await context.__aenter__()
        async with asyncio.timeout(30):
            while not rows(file):
                await asyncio.sleep(0.05)

    def rows(path: Path) -> int:
        connection = sqlite3.connect(path)
        (count,) = connection.execute("SELECT count(*) FROM usage").fetchone()
        connection.close()
        return int(count)

    run(killed)

    async def after() -> None:
        await refused(quotas(Time(), file, each_caller={"tokens_per_day": 100}), ADA, 21)

    run(after)


def test_counts_that_cannot_be_read_are_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "quotas.db").write_text("no database, but long enough to be looked at as one" * 20)
    with pytest.raises(Failure, match="cannot be read"):
        quotas(Time(), tmp_path / "quotas.db")


def test_other_limits_hold_from_the_next_request_on() -> None:
    async def body() -> None:
        some = quotas(Time(), each_caller={"tokens_per_day": 100})
        await use(some, ADA, 100)
        some.reload(QuotaSettings(each_caller=Limits(tokens_per_day=150)), GROUPS)
        await use(some, ADA, 50)
        await refused(some, ADA, 1)

    run(body)


def test_a_limit_for_nobody_is_refused() -> None:
    with pytest.raises(UserError, match="unknown group 'wart'; did you mean 'ward'"):
        quotas(Time(), groups={"wart": {"concurrent": 1}})


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([ADA, ADA_AGAIN, BEA, CAL]), st.floats(0, 20), st.integers(1, 50), st.integers(0, 50)
        ),
        max_size=60,
    )
)
@settings(deadline=None, max_examples=60)
def test_in_no_window_does_a_group_take_more_than_it_may(steps: list[tuple[Principal, float, int, int]]) -> None:
    async def body() -> None:
        time = Time()
        limits = {"tokens_per_minute": 120, "token_burst": 60, "requests_per_minute": 30, "request_burst": 3}
        some = quotas(time, groups={"ward": limits})
        taken: list[tuple[float, int]] = []
        for principal, pause, tokens, used in steps:
            time.seconds += pause
            with suppress(OverQuota):
                await use(some, principal, tokens, min(used, tokens))
                if principal is not CAL:
                    taken.append((time.seconds, min(used, tokens)))
        for first, (start, _) in enumerate(taken):
            for last in range(first, len(taken)):
                window = taken[last][0] - start
                assert sum(amount for _, amount in taken[first : last + 1]) <= 60 + 2 * window + 1e-6
                assert last - first + 1 <= 3 + window / 2 + 1e-6

    run(body)


@pytest.mark.parametrize("trouble", ["damaged", "too large a count"])
def test_counts_that_cannot_be_written_are_told_once_and_written_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    file = tmp_path / "quotas.db"
    huge = 1 << 64  # more than the file can hold

    async def body() -> None:
        some = quotas(Time(), file, each_caller={"requests_per_minute": 100})
        await some.start()
        if trouble == "damaged":
            whole = file.read_bytes()
            file.write_bytes(b"\xffwhat" * 2000)
            await use(some, ADA, 90)
        else:
            await use(some, ADA, huge)
        async with asyncio.timeout(30):
            while some.saved:
                await asyncio.sleep(0.05)
        await use(some, BEA, 5)
        await asyncio.sleep(3 * SAVED_EVERY_SECONDS)
        (told,) = caplog.records
        assert str(file) in told.getMessage()
        assert not some.saved
        if trouble == "damaged":
            file.write_bytes(whole)
        else:
            async with some.admit(ADA, 0) as grant:
                grant.settle(90 - huge)
        async with asyncio.timeout(30):
            while not some.saved:
                await asyncio.sleep(0.05)
        await some.close()
        assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]

    run(body)

    async def after() -> None:
        await refused(quotas(Time(), file, each_caller={"tokens_per_day": 100}), ADA, 11)
        await refused(quotas(Time(), file, each_caller={"tokens_per_day": 100}), BEA, 96)

    run(after)


@pytest.mark.parametrize("column", ["tokens", "day"])
@pytest.mark.parametrize("value", ["'what'", "x'ff00'", "CAST(x'ff00' AS TEXT)"])
def test_counts_that_say_nothing_are_refused_at_the_start(tmp_path: Path, column: str, value: str) -> None:
    file = tmp_path / "quotas.db"
    quotas(Time(), file)
    connection = sqlite3.connect(file)
    row = {"day": "'2026-03-01'", "scope": "'user:ada'", "tokens": "1", column: value}
    connection.execute(f"INSERT INTO usage VALUES ({row['day']}, {row['scope']}, {row['tokens']})")
    connection.commit()
    connection.close()
    with pytest.raises(Failure, match=r"quotas\.db: the tokens that were used today cannot be read"):
        quotas(Time(), file)


def test_several_answers_take_so_many_places() -> None:
    async def run() -> None:
        time = Time()
        some = quotas(time, each_caller={"concurrent": 3}, running=4, waiting=0)
        async with some.admit(ADA, 10, 2):
            assert some.at_work == 2
            over = await refused_of(some, ADA, 2)
            assert "3 answers at the same time of user:ada" in over.what
            assert over.retry_after_seconds is not None
            async with some.admit(ADA, 10, 1):
                assert some.at_work == 3
                async with some.admit(BEA, 10, 3):  # one place is free, and enough to begin
                    assert some.at_work == 6
                    assert "may wait" in (await refused_of(some, CAL, 1)).what
        assert some.at_work == 0
        assert (await refused_of(some, ADA, 4)).retry_after_seconds is None  # never
        await use(some, ADA)

    asyncio.run(run())


async def refused_of(some: Quotas, principal: Principal, answers: int) -> OverQuota:
    with pytest.raises(OverQuota) as caught:
        async with some.admit(principal, 10, answers):
            pass
    return caught.value


def test_a_file_is_to_be_removed_only_for_what_it_says(tmp_path: Path) -> None:
    wrong = tmp_path / "quotas.db"
    wrong.write_text("this is no database " * 100)
    with pytest.raises(Failure) as said:
        Quotas(QuotaSettings(), GROUPS, wrong)
    assert "remove the file" in str(said.value.hint)
    with pytest.raises(Failure) as said:
        Quotas(QuotaSettings(), GROUPS, tmp_path)  # which nobody can open as a file
    assert "must be able to write there" in str(said.value.hint)
