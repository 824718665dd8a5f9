"""Whoever goes on after a record was written finds it on the disk, whatever happens to the disk or the process."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from loresmith.ledger import Ledger
from loresmith.ledger.schema import LOG_HEAD
from loresmith.serving.audit.journal import Journal
from loresmith.serving.audit.record import AuditRecord, Content
from loresmith.serving.audit.search import Query, find
from loresmith.serving.audit.settings import AuditSettings
from loresmith.serving.audit.verification import verify_records
from loresmith.serving.audit.writer import Audit, AuditUnavailable
from tests.ledger.disks import mounted_disk, short_files
from tests.ledger.places import AT, Place
from tests.ledger.postgres import PostgresServer, plain_engine
from tests.ledger.processes import Child, in_child
from tests.serving.audit.places import ANSWERED, LATER, SAID, auditing, keys_of, record


def phases(ledger: Ledger) -> list[tuple[str, str]]:
    return [(row.response, row.phase) for row in ledger.audit_records.search()]


async def until(condition: Any) -> None:
    for _ in range(1500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come about")


def test_who_goes_on_finds_the_record_written(ledger: Ledger, tmp_path: Path) -> None:
    async def run() -> None:
        async with auditing(ledger, tmp_path) as audit:
            await audit.intent(record("r-1"), SAID)
            assert phases(ledger) == [("r-1", "intent")]
            await audit.outcome(record("r-1", "outcome", status=200), ANSWERED)

    asyncio.run(run())
    intent, outcome = ledger.audit_records.of("r-1")
    assert AuditRecord.from_row(intent) == record("r-1")
    assert AuditRecord.from_row(outcome) == record("r-1", "outcome", status=200)
    keys = keys_of(ledger, tmp_path)
    assert b"bed 7" in keys.open(intent.content or b"", "r-1", "intent")
    assert b"broken leg" in keys.open(outcome.content or b"", "r-1", "outcome")
    assert ledger.log.verify().problems == ()
    database = (tmp_path / "ledger.db").read_bytes() + (tmp_path / "ledger.db-wal").read_bytes()
    assert b"bed 7" not in database
    assert b"broken leg" not in database


def test_records_that_come_together_are_written_together_and_each_gets_its_leaf(ledger: Ledger, tmp_path: Path) -> None:
    async def run() -> int:
        async with auditing(ledger, tmp_path) as audit:
            await asyncio.gather(*(audit.intent(record(f"r-{number}")) for number in range(300)))
            return audit.transactions

    assert asyncio.run(run()) < 30
    assert phases(ledger) == [(f"r-{number}", "intent") for number in range(300)]
    assert len({row.leaf for row in ledger.audit_records.search()}) == 300
    assert ledger.log.verify().problems == ()


def test_a_clock_that_jumps_leaves_the_order_of_the_record(ledger: Ledger, tmp_path: Path) -> None:
    """The order is the log's; what was said stays open to who may read it, whatever the times say."""
    moments = (LATER, "1970-01-01T00:00:00.000000Z", "2999-12-31T23:59:59.999999Z", AT)

    async def run() -> None:
        async with auditing(ledger, tmp_path) as audit:
            for number, at in enumerate(moments):
                await audit.intent(record(f"r-{number}", at=at), SAID)
                await audit.outcome(record(f"r-{number}", "outcome", at=AT, status=200), ANSWERED)

    asyncio.run(run())
    assert phases(ledger) == [(f"r-{n}", phase) for n in range(4) for phase in ("intent", "outcome")]
    keys = keys_of(ledger, tmp_path)
    assert not verify_records(ledger, keys).problems
    assert ledger.log.verify().problems == ()
    for row in ledger.audit_records.search(phase="intent", content=True):
        assert b"bed 7" in keys.open(row.content or b"", row.response, row.phase)
    since = [found.record.response for found in find(ledger.audit_records, Query(since=LATER, phase="intent"))]
    assert since == ["r-0", "r-2"]


@pytest.mark.slow
def test_on_postgresql_it_is_the_same(postgres: PostgresServer, tmp_path: Path) -> None:
    address = postgres.make_database()
    other = plain_engine(address)

    async def run(ledger: Ledger) -> None:
        async with auditing(ledger, tmp_path, probe_seconds=0.1) as audit:
            await asyncio.gather(*(audit.intent(record(f"r-{number}"), SAID) for number in range(100)))
            assert audit.transactions < 30
            with other.connect() as connection:
                connection.execute(sql.select(LOG_HEAD).with_for_update())
                with pytest.raises(AuditUnavailable, match="locked"):
                    await audit.intent(record("lost"))
            await until(lambda: audit.healthy)
            with other.connect() as connection:
                connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                )
            await audit.intent(record("after"))

    with Place(tmp_path, f"{address}&lock_wait=0.2").open(create=True) as ledger:
        asyncio.run(run(ledger))
        assert len(phases(ledger)) == 101
        assert ledger.log.verify().problems == ()
    other.dispose()


def test_content_is_left_out_where_settings_say_so(ledger: Ledger, tmp_path: Path) -> None:
    async def run() -> None:
        async with auditing(ledger, tmp_path, content="omitted") as audit:
            await audit.intent(record("r-1"), SAID)

    asyncio.run(run())
    assert ledger.audit_records.of("r-1")[0].content is None
    assert not (tmp_path / "tenant-keys").exists()


def test_after_an_erasure_nothing_is_sealed_with_the_old_key(ledger: Ledger, tmp_path: Path) -> None:
    async def run() -> None:
        async with auditing(ledger, tmp_path) as audit:
            await audit.intent(record("r-1"), SAID)
            keys_of(ledger, tmp_path).destroy("ward", "they left")
            await asyncio.sleep(0.6)
            await audit.intent(record("r-2"), SAID)

    asyncio.run(run())
    keys = keys_of(ledger, tmp_path)
    assert b"bed 7" in keys.open(ledger.audit_records.of("r-2")[0].content or b"", "r-2", "intent")


def test_a_locked_ledger_answers_nobody_and_recovers_by_itself(place: Place, tmp_path: Path) -> None:
    async def run(ledger: Ledger) -> None:
        other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        async with auditing(ledger, tmp_path, probe_seconds=0.1) as audit:
            await audit.intent(record("r-1"))
            other.execute("BEGIN IMMEDIATE")
            waits = [audit.intent(record(f"lost-{number}")) for number in range(3)]
            audit.outcome_later(record("r-1", "outcome"))
            for failed in await asyncio.gather(*waits, return_exceptions=True):
                assert isinstance(failed, AuditUnavailable)
                assert "locked" in str(failed)
            assert not audit.healthy
            assert "locked" in audit.trouble
            with pytest.raises(AuditUnavailable, match="cannot be written"):
                audit.intent(record("lost")).send(None)  # it does not even try: it waits for nothing
            other.execute("ROLLBACK")
            await until(lambda: audit.healthy)
            await audit.intent(record("r-2"))
        other.close()

    with place.open(database=f"{place.database}?lock_wait=1") as ledger:
        asyncio.run(run(ledger))
        assert phases(ledger) == [("r-1", "intent"), ("r-1", "outcome"), ("r-2", "intent")]
        (gap,) = gaps_of(ledger)
        assert "4 records refused since 2" in gap
        assert ledger.log.verify().problems == ()


def test_a_ledger_that_was_damaged_and_mended_is_written_again(place: Place, tmp_path: Path) -> None:
    """Whatever the trouble was: while it lasts nobody is answered, and the thread that writes outlives it."""

    async def run(ledger: Ledger) -> None:
        async with auditing(ledger, tmp_path, probe_seconds=0.05) as audit:
            await audit.intent(record("r-1"))
            with place.behind_its_back() as connection:
                (head,) = connection.execute(sql.select(LOG_HEAD)).mappings().all()
                connection.execute(sql.delete(LOG_HEAD))
            with pytest.raises(AuditUnavailable):
                await audit.intent(record("lost"))
            await asyncio.sleep(0.3)  # it was tried again some times
            assert not audit.healthy
            with place.behind_its_back() as connection:
                connection.execute(sql.insert(LOG_HEAD).values(**head))
            await until(lambda: audit.healthy)
            await audit.intent(record("r-2"))

    with place.open() as ledger:
        asyncio.run(run(ledger))
        assert phases(ledger) == [("r-1", "intent"), ("r-2", "intent")]


def test_nobody_waits_longer_than_settings_say(place: Place, tmp_path: Path) -> None:
    async def run(ledger: Ledger) -> None:
        other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        async with auditing(ledger, tmp_path, patience_seconds=0.2, probe_seconds=0.1) as audit:
            other.execute("BEGIN IMMEDIATE")
            started = time.monotonic()
            with pytest.raises(AuditUnavailable, match=r"longer than 0\.2 seconds"):
                await audit.intent(record("r-1"))
            assert time.monotonic() - started < 20  # two thirds of what it waits for the lock
            assert not audit.healthy
            other.execute("ROLLBACK")
            for number in range(2, 100):  # a machine that has more to do may take longer than settings say, once more
                await until(lambda: audit.healthy)
                with suppress(AuditUnavailable):
                    await audit.intent(record(f"r-{number}"))
                    break
            else:
                raise AssertionError("it goes on to take too long")
        other.close()
        assert (f"r-{number}", "intent") in phases(ledger)

    with place.open() as ledger:
        asyncio.run(run(ledger))


def test_one_record_that_cannot_be_written_holds_up_no_other(ledger: Ledger, tmp_path: Path) -> None:
    async def run() -> None:
        async with auditing(ledger, tmp_path) as audit:
            bad = [record("r-1", error="\ud800"), record("r-2", principal="user:\ud800"), record("r-3", tenant="")]
            half = Content(messages=({"role": "user", "content": "\ud800"},))
            good = audit.intent(record("r-4"), SAID)
            *failed, written = await asyncio.gather(
                *(audit.intent(each, SAID) for each in bad),
                audit.intent(record("r-5"), half),
                good,
                return_exceptions=True,
            )
            for error in failed:
                assert isinstance(error, AuditUnavailable)
                assert "cannot be put on the record" in str(error)
            assert written is None
            assert audit.healthy

    asyncio.run(run())
    assert phases(ledger) == [("r-4", "intent")]


@pytest.mark.parametrize("journalled", [False, True])
def test_no_outcome_is_lost_for_what_was_said(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture, journalled: bool
) -> None:
    """What was done was done: of an outcome that cannot be written as it is, all that can be is on the record."""
    half = Content(answer={"role": "assistant", "content": "half a letter: \ud83d"})

    async def run() -> None:
        journal = Journal(tmp_path / "journals") if journalled else None
        audit = Audit(ledger, AuditSettings(), keys_of(ledger, tmp_path), journal)
        for number in range(1, 5):
            await audit.intent(record(f"r-{number}"), SAID)
        audit.outcome_later(record("r-1", "outcome", status=200, completion_tokens=3), half)
        audit.outcome_later(record("r-2", "outcome", status=503, error="it said \ud83d"))
        audit.outcome_later(record("r-3", "outcome", status=200, tenant=""), ANSWERED)
        audit.outcome_later(record("r-4", "outcome", status=200), ANSWERED)
        await audit.settled()
        assert audit.healthy
        audit.close()

    asyncio.run(run())
    outcomes = [ledger.audit_records.of(f"r-{number}")[-1] for number in range(1, 5)]
    assert [(row.phase, row.content is not None) for row in outcomes] == [("outcome", False)] * 3 + [("outcome", True)]
    first, second, *_ = map(AuditRecord.from_row, outcomes)
    assert first == record("r-1", "outcome", status=200, completion_tokens=3)
    assert second == record("r-2", "outcome", status=503, error="it said ?")
    gaps, logged = " ".join(gaps_of(ledger)), [said.getMessage() for said in caplog.records]
    for number, kind in ((1, "PydanticSerializationError"), (2, "UserError"), (3, "UserError")):
        said = f"the outcome of 'r-{number}' was written without its content: {kind}"
        assert gaps.count(said) == logged.count(said) == 1
    assert "r-4" not in gaps
    assert ledger.log.verify().problems == ()
    assert verify_records(ledger, keys_of(ledger, tmp_path)).unfinished == 0


def test_no_more_wait_than_settings_say(ledger: Ledger, tmp_path: Path) -> None:
    async def run() -> None:
        other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        async with auditing(ledger, tmp_path, waiting=5, patience_seconds=60) as audit:
            other.execute("BEGIN IMMEDIATE")
            first = asyncio.create_task(audit.intent(record("first")))
            await asyncio.sleep(0)
            await until(lambda: not audit.unsettled)  # it is being written, which takes as long as the lock is held
            waits = [asyncio.create_task(audit.intent(record(f"r-{number}"))) for number in range(20)]
            await until(lambda: any(each.done() for each in waits))
            other.execute("ROLLBACK")
            await first
            done = await asyncio.gather(*waits, return_exceptions=True)
            other.close()
            refused = [each for each in done if isinstance(each, AuditUnavailable)]
            assert len(refused) == 15
            assert "wait to be written already" in str(refused[0])
            assert audit.healthy

    asyncio.run(run())


def gaps_of(ledger: Ledger) -> list[str]:
    """What the log says of records that could not be written."""
    return [said for said in ledger.log.payloads(range(ledger.log.head().size)).values() if "audit-gap" in said]


def test_of_what_was_not_carried_out_no_more_is_kept_than_may_wait(place: Place, tmp_path: Path) -> None:
    """Whoever is refused again and again while nothing can be written does not fill the memory."""

    async def run(ledger: Ledger) -> None:
        other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        async with auditing(ledger, tmp_path, waiting=50, probe_seconds=0.1) as audit:
            await audit.intent(record("r-1"))
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(AuditUnavailable):
                await audit.intent(record("lost"))
            for number in range(1000):
                audit.outcome_later(record(f"denied-{number}", "outcome", status=404), intended=False)
            assert audit.unsettled == 50
            audit.outcome_later(record("r-1", "outcome", status=503))
            other.execute("ROLLBACK")
            await until(lambda: audit.healthy)
            await audit.settled()
        other.close()

    with place.open(database=f"{place.database}?lock_wait=0.2") as ledger:
        asyncio.run(run(ledger))
        written = phases(ledger)
        assert ("r-1", "outcome") in written
        assert len(written) == 2 + 50
        (gap,) = gaps_of(ledger)
        assert "1 records refused since" in gap
        assert "950 outcomes of requests that were not carried out" in gap


def test_what_is_left_out_while_all_is_well_is_on_the_record_too(ledger: Ledger, tmp_path: Path) -> None:
    async def run() -> None:
        async with auditing(ledger, tmp_path, waiting=5) as audit:
            with audit._wake:  # none is written before all have come
                for number in range(20):
                    audit.outcome_later(record(f"denied-{number}", "outcome", status=404), intended=False)
                assert audit.unsettled == 5
            await audit.settled()
            await until(lambda: len(gaps_of(ledger)) == 1)
            audit.outcome_later(record("denied-last", "outcome", status=404), intended=False)
            assert audit.healthy

    asyncio.run(run())
    assert len(phases(ledger)) == 6
    (gap,) = gaps_of(ledger)
    assert "15 outcomes" in gap


def test_what_waits_is_written_before_it_closes(ledger: Ledger, tmp_path: Path) -> None:
    async def run() -> Audit:
        async with auditing(ledger, tmp_path, gather_ms=50, batch=10) as audit:
            await audit.intent(record("r-1"))
            for number in range(50):
                audit.outcome_later(record(f"r-{number}", "outcome"))
        return audit

    audit = asyncio.run(run())
    assert len(phases(ledger)) == audit.written == 51
    assert not audit.healthy
    with pytest.raises(AuditUnavailable, match="closed"):
        asyncio.run(audit.intent(record("late")))


def test_a_caller_that_goes_away_harms_nobody(ledger: Ledger, tmp_path: Path) -> None:
    async def run() -> None:
        async with auditing(ledger, tmp_path) as audit:
            gone = asyncio.create_task(audit.intent(record("gone")))
            stays = asyncio.create_task(audit.intent(record("stays")))
            await asyncio.sleep(0)
            gone.cancel()
            await stays
            await audit.intent(record("after"))

    asyncio.run(run())
    assert {("stays", "intent"), ("after", "intent")} <= set(phases(ledger))


def test_the_phase_must_be_the_one_that_is_written(ledger: Ledger, tmp_path: Path) -> None:
    async def run() -> None:
        async with auditing(ledger, tmp_path) as audit:
            with pytest.raises(ValueError, match="intent"):
                await audit.outcome(record("r-1"))
            with pytest.raises(ValueError, match="outcome"):
                await audit.intent(record("r-1", "outcome"))

    asyncio.run(run())


def answered_on_a_full_disk(
    folder: Path, keys: Path, fill: Callable[[], None], make_room: Callable[[], None]
) -> tuple[list[str], list[str]]:
    """Who is answered while a disk fills up and after there is room again, and whose intents are on it then."""

    async def run(ledger: Ledger) -> tuple[list[str], list[str]]:
        answered: list[str] = []
        async with auditing(ledger, keys, content="omitted", probe_seconds=0.1) as audit:
            fill()
            for number in range(5000):
                name = f"r-{number}"
                try:
                    await audit.intent(record(name, error="x" * 3000))
                except AuditUnavailable:
                    break
                answered.append(name)
            else:
                raise AssertionError("the disk never filled up")
            assert not audit.healthy
            with pytest.raises(AuditUnavailable, match="cannot be written"):
                await audit.intent(record("refused"))
            make_room()
            await until(lambda: audit.healthy)
            await audit.intent(record("after"))
            answered.append("after")
        assert ledger.log.verify().problems == ()
        return answered, [response for response, _ in phases(ledger)]

    with Place(folder).open(create=True) as ledger:
        return asyncio.run(run(ledger))


def require_full_disk_story(told: tuple[list[str], list[str]]) -> None:
    answered, written = told
    assert len(answered) > 20
    assert answered[-1] == "after"
    assert set(answered) <= set(written)
    assert "refused" not in written


def test_files_that_may_not_grow_answer_nobody_and_recover_when_they_may(tmp_path: Path) -> None:
    def story() -> tuple[list[str], list[str]]:
        return answered_on_a_full_disk(tmp_path, tmp_path, lambda: short_files(2), lambda: short_files(None))

    require_full_disk_story(in_child(story))


def test_a_full_disk_answers_nobody_and_recovers_when_there_is_room(tmp_path: Path) -> None:
    def story() -> tuple[list[str], list[str]] | None:
        folder = tmp_path / "disk"
        folder.mkdir()
        if not mounted_disk(folder, 2):
            return None
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(700_000))
        return answered_on_a_full_disk(folder, tmp_path, lambda: None, ballast.unlink)

    told = in_child(story)
    if told is None:
        pytest.skip("nobody may mount a disk here; the test before shows the same with files that may not grow")
    require_full_disk_story(told)


def answered_until_killed(place: Place, folder: Path, audit_on: Callable[[Ledger], Audit]) -> list[str]:
    """What a process with this audit has answered when it is killed."""
    told = folder / "told"
    told.touch()

    def answer() -> None:
        async def one(audit: Audit, number: int) -> None:
            await audit.intent(record(f"r-{number}"), SAID)
            with told.open("a") as file:
                file.write(f"r-{number}\n")

        async def run(ledger: Ledger) -> None:
            audit = audit_on(ledger)
            for start in range(0, 100_000, 8):
                await asyncio.gather(*(one(audit, start + each) for each in range(8)))

        with place.open() as own:
            asyncio.run(run(own))

    child = Child(answer)
    deadline = time.monotonic() + 60
    while told.stat().st_size < 300 and time.monotonic() < deadline:
        time.sleep(0.01)
    child.kill()
    answered = told.read_text().split()
    assert len(answered) > 20
    return answered


def test_a_killed_gateway_has_answered_nothing_that_is_not_on_the_record(place: Place, tmp_path: Path) -> None:
    def audit_on(ledger: Ledger) -> Audit:
        return Audit(ledger, AuditSettings(), keys_of(ledger, tmp_path))

    answered = answered_until_killed(place, tmp_path, audit_on)
    with place.open() as ledger:
        assert set(answered) <= {response for response, _ in phases(ledger)}
        assert ledger.log.verify().problems == ()
