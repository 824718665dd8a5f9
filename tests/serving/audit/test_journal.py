"""With a journal, whoever goes on finds the record in it or in the ledger, whatever happens to the process."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from loresmith.errors import Failure
from loresmith.ledger import Ledger
from loresmith.serving.audit.journal import Journal, bring_in
from loresmith.serving.audit.record import AuditRecord
from loresmith.serving.audit.settings import AuditSettings
from loresmith.serving.audit.writer import LATER_SECONDS, Audit, AuditUnavailable
from tests.ledger.places import Place
from tests.serving.audit.places import ANSWERED, SAID, keys_of, record
from tests.serving.audit.test_writer import answered_until_killed, phases, until


def audit_on(ledger: Ledger, folder: Path, **settings: object) -> Audit:
    return Audit(ledger, AuditSettings(**settings), keys_of(ledger, folder), Journal(folder / "journals"))  # type: ignore[arg-type]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "journals").glob("*.journal"))


def test_records_come_into_the_ledger_together_and_the_journal_is_emptied(ledger: Ledger, tmp_path: Path) -> None:
    async def run() -> Audit:
        audit = audit_on(ledger, tmp_path)
        for number in range(60):
            await audit.intent(record(f"r-{number}"), SAID)
            audit.outcome_later(record(f"r-{number}", "outcome", status=200), ANSWERED)
        await audit.settled()
        assert len(phases(ledger)) == 120
        await until(lambda: size_of(tmp_path) == 0)
        audit.close()
        return audit

    audit = asyncio.run(run())
    assert audit.transactions < 60
    assert list((tmp_path / "journals").iterdir()) == []
    assert ledger.log.verify().problems == ()
    intent, outcome = ledger.audit_records.of("r-7")
    assert AuditRecord.from_row(intent) == record("r-7")
    assert b"broken leg" in keys_of(ledger, tmp_path).open(outcome.content or b"", "r-7", "outcome")


def test_the_disk_is_waited_for_once_for_all_that_came_together(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fsync a batch: while one is under way, whoever comes gathers for the next, and nobody goes on before it."""
    waits: list[int] = []
    all_there = threading.Event()
    sync, come, going_on = os.fdatasync, 0, 0

    def slowly(file: int) -> None:
        waits.append(going_on)
        assert all_there.wait(60)
        sync(file)

    async def intend(audit: Audit, number: int) -> None:
        nonlocal come, going_on
        come += 1
        await audit.intent(record(f"r-{number}"), SAID)
        going_on += 1

    async def run() -> None:
        audit = audit_on(ledger, tmp_path, batch=1000)
        await intend(audit, 0)
        monkeypatch.setattr(os, "fdatasync", slowly)
        first = asyncio.create_task(intend(audit, 1))
        await until(lambda: waits)
        others = asyncio.gather(*(intend(audit, number) for number in range(2, 202)))
        await until(lambda: come == 202)
        all_there.set()
        await others
        await first
        await audit.settled()
        audit.close()

    asyncio.run(run())
    assert waits == [1, 2]  # nobody of the 200 went on before the second, and all of them after it
    assert len(phases(ledger)) == 202


def test_a_record_is_in_the_ledger_a_moment_after_its_intent(ledger: Ledger, tmp_path: Path) -> None:
    async def run() -> list[float]:
        audit = audit_on(ledger, tmp_path)
        took: list[float] = []
        ends = time.monotonic() + 60
        while sum(seconds < LATER_SECONDS + 0.2 for seconds in took) < 7 and time.monotonic() < ends:
            await audit.intent(record(f"r-{len(took)}"), SAID)
            begun = time.monotonic()
            while audit.written <= len(took):
                assert time.monotonic() - begun < 60
                await asyncio.sleep(0.001)
            took.append(time.monotonic() - begun)
        audit.close()
        return took

    took = sorted(asyncio.run(run()))
    # It waits for company so long and no longer; what is above is the transaction, and whoever else has the processor
    # and the disk, so that a busy machine takes some tries.
    assert LATER_SECONDS == 0.05
    assert took[6] < LATER_SECONDS + 0.2, took


def test_what_is_said_is_in_no_journal(place: Place, tmp_path: Path) -> None:
    async def run(ledger: Ledger) -> None:
        other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        audit = audit_on(ledger, tmp_path, probe_seconds=0.1)
        await audit.intent(record("r-0"), SAID)
        await audit.settled()
        other.execute("BEGIN IMMEDIATE")
        await audit.intent(record("r-1"), SAID)  # the ledger is locked: it is in the journal alone
        written = b"".join(path.read_bytes() for path in (tmp_path / "journals").iterdir())
        assert b"r-1" in written
        assert b"bed 7" not in written
        await until(lambda: not audit.healthy)
        with pytest.raises(AuditUnavailable, match="cannot be written"):
            await audit.intent(record("lost"))
        other.execute("ROLLBACK")
        await until(lambda: audit.healthy)
        audit.close()
        other.close()

    with place.open(database=f"{place.database}?lock_wait=0.2") as ledger:
        asyncio.run(run(ledger))
        assert phases(ledger) == [("r-0", "intent"), ("r-1", "intent")]
        assert ledger.log.verify().problems == ()


def test_what_a_killed_gateway_left_is_brought_in_once(place: Place, tmp_path: Path) -> None:
    answered = answered_until_killed(place, tmp_path, lambda ledger: audit_on(ledger, tmp_path))
    with place.open() as ledger:
        bring_in(tmp_path / "journals", ledger.audit_records)
        written = phases(ledger)
        assert {(name, "intent") for name in answered} <= set(written)
        assert len(written) == len(set(written))
        assert list((tmp_path / "journals").iterdir()) == []
        assert ledger.log.verify().problems == ()


def left_behind(folder: Path) -> Path:
    """A journal with five records, as of a gateway that was killed."""
    journal = Journal(folder / "journals")
    for number in range(5):
        journal.append([record(f"r-{number}").row(b"sealed")])
    os.close(journal._file)
    return next((folder / "journals").iterdir())


def test_what_is_in_the_ledger_already_is_not_added_again(ledger: Ledger, tmp_path: Path) -> None:
    left_behind(tmp_path)
    ledger.audit_records.append([record("r-2").row(None)])
    assert bring_in(tmp_path / "journals", ledger.audit_records) == 4
    assert bring_in(tmp_path / "journals", ledger.audit_records) == 0
    assert sorted(name for name, _ in phases(ledger)) == [f"r-{number}" for number in range(5)]


def test_a_cut_off_end_is_left_out_and_damage_within_is_told(ledger: Ledger, tmp_path: Path) -> None:
    path = left_behind(tmp_path)
    path.write_bytes(path.read_bytes()[:-3])
    assert bring_in(tmp_path / "journals", ledger.audit_records) == 4
    assert not [said for said in ledger.log.payloads(range(ledger.log.head().size)).values() if "audit-gap" in said]
    path = left_behind(tmp_path / "again")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    bring_in(tmp_path / "again" / "journals", ledger.audit_records)
    gaps = [said for said in ledger.log.payloads(range(ledger.log.head().size)).values() if "audit-gap" in said]
    assert len(gaps) == 1
    assert "bytes of a killed gateway's records cannot be read" in gaps[0]


def test_a_gateway_that_is_at_work_is_left_alone(ledger: Ledger, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journals")
    journal.append([record("r-1").row(None)])
    assert bring_in(tmp_path / "journals", ledger.audit_records) == 0
    assert phases(ledger) == []
    journal.close()
    assert bring_in(tmp_path / "journals", ledger.audit_records) == 1


def test_a_journal_that_cannot_be_written_answers_nobody(ledger: Ledger, tmp_path: Path) -> None:
    async def run() -> None:
        audit = audit_on(ledger, tmp_path, probe_seconds=0.1)
        journal = audit._journal
        assert journal is not None
        good, journal._file = journal._file, os.open(os.devnull, os.O_RDONLY)
        with pytest.raises(AuditUnavailable, match="journal cannot be written"):
            await audit.intent(record("lost"))
        assert not audit.healthy
        os.close(journal._file)
        journal._file = good
        await until(lambda: audit.healthy)
        await audit.intent(record("after"))
        audit.close()

    asyncio.run(run())
    assert phases(ledger) == [("after", "intent")]


def test_where_files_cannot_be_locked_one_is_told_what_to_do(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a share that is mounted without locks. What a killed gateway left behind stays where it is."""
    folder = tmp_path / "journals"
    journal = Journal(folder)
    journal.append([record("r-1").row()])
    journal.close()
    (left,) = folder.iterdir()

    def no_locks(_file: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", no_locks)
        gc.collect()  # what others left to be closed is closed before
        before = len(list(Path("/proc/self/fd").iterdir()))
        for use in (lambda: bring_in(folder, ledger.audit_records), lambda: Journal(folder)):
            with pytest.raises(Failure, match=f"{folder}.*: the audit's journal cannot be locked: No locks") as told:
                use()
            assert "flock" in (told.value.hint or "")
        assert len(list(Path("/proc/self/fd").iterdir())) <= before
    assert list(folder.iterdir()) == [left]
    assert bring_in(folder, ledger.audit_records) == 1


def test_a_journal_that_cannot_be_read_is_named(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "journals"
    (folder / "1.journal").mkdir(parents=True)
    with pytest.raises(Failure, match=r"1\.journal: the audit's journal cannot be read.*: Is a directory"):
        bring_in(folder, ledger.audit_records)
