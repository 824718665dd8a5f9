"""What the gateway writes: found again, in order, each a leaf of its own, and a batch of them as good as one by one."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sql

from loresmith.errors import Failure, UserError
from loresmith.ledger import Ledger
from loresmith.ledger.database import Database
from loresmith.ledger.description import describe
from loresmith.ledger.digest import canonical_json, parse_json
from loresmith.ledger.log import Entry, Log
from loresmith.ledger.schema import AUDIT_RECORD, LOG_LEAF
from tests.ledger.places import AT, Place, audit_row
from tests.ledger.postgres import plain_engine

LATER = "2026-02-01T00:00:00.000000Z"


def test_each_record_is_a_leaf_that_can_be_proved(ledger: Ledger) -> None:
    ledger.audit_records.note("audit-gap", "before all of it")
    leaves = ledger.audit_records.append([audit_row(f"r-{number}", content=b"x" * number) for number in range(40)])
    assert leaves == range(1, 41)
    proofs = ledger.log.inclusion_proofs(leaves)
    assert proofs == {leaf: ledger.log.inclusion_proof(leaf) for leaf in leaves}
    assert all(proof.holds() for proof in proofs.values())
    for leaf, payload in ledger.log.payloads(leaves).items():
        (row,) = ledger.audit_records.of(f"r-{leaf - 1}")
        assert row.leaf == leaf
        columns = {column.name: getattr(row, column.name) for column in AUDIT_RECORD.c}
        assert parse_json(payload)["rows"] == describe([(AUDIT_RECORD, columns)])
        assert parse_json(payload)["key"] == f"r-{leaf - 1}"
    assert ledger.log.verify().problems == ()
    assert ledger.log.inclusion_proofs([]) == {}
    with pytest.raises(UserError, match="no leaf 41"):
        ledger.log.inclusion_proofs([1, 41])


def test_a_batch_is_what_one_by_one_would_have_been(ledger: Ledger, place: Place) -> None:
    database = Database(place.database)
    log = Log(database, "ada@host")
    entries = [
        Entry("audit-intent", f"r-{number}", {AUDIT_RECORD: [columns(f"r-{number}")]}, AT) for number in range(7)
    ]
    with database.write() as connection:
        for entry in entries:
            log.append(connection, entry.kind, entry.key, entry.rows, at=entry.at)
        one_by_one = connection.execute(sql.select(LOG_LEAF).order_by(LOG_LEAF.c.index)).all()
        connection.get_transaction().rollback()  # type: ignore[union-attr]
    assert ledger.log.head().size == 0
    with database.write() as connection:
        assert log.append_many(connection, []) == range(0)
        assert log.append_many(connection, entries[:4]) == range(4)
        assert log.append_many(connection, entries[4:]) == range(4, 7)
    engine = plain_engine(place.database)
    with engine.connect() as connection:
        assert connection.execute(sql.select(LOG_LEAF).order_by(LOG_LEAF.c.index)).all() == one_by_one
    engine.dispose()
    database.close()
    assert ledger.log.verify().problems == ()


def columns(response: str) -> dict[str, object]:
    row = audit_row(response)
    return {column.name: getattr(row, column.name) for column in AUDIT_RECORD.c if column.name != "leaf"}


def test_all_of_a_batch_is_there_or_nothing(ledger: Ledger, place: Place) -> None:
    before = ledger.log.head(), place.counts()
    with pytest.raises(Failure):
        ledger.audit_records.append([audit_row("r-1"), audit_row("r-2", "neither")])
    assert (ledger.log.head(), place.counts()) == before


def test_a_record_costs_well_under_a_millisecond(ledger: Ledger) -> None:
    facts = canonical_json({f"field {number}": "x" * 20 for number in range(20)}).decode()
    rows = [audit_row(f"r-{number}", facts=facts, content=b"x" * 500) for number in range(500)]
    ledger.audit_records.append(rows[:1])
    started = time.process_time()
    ledger.audit_records.append(rows[1:])
    # Five times what it takes on a slow machine.
    assert (time.process_time() - started) / len(rows) < 0.001


def test_records_are_found_by_what_they_say(ledger: Ledger) -> None:
    rows = [
        audit_row("r-1"),
        audit_row("r-2", principal="user:bob", tenant="ward"),
        audit_row("r-1", "outcome", LATER, content=b"secret"),
        audit_row("r-2", "outcome", LATER, principal="user:bob", tenant="ward", release="other@production"),
    ]
    ledger.audit_records.append(rows)

    def found(**wanted: object) -> list[int]:
        return [row.leaf for row in ledger.audit_records.search(**wanted)]  # type: ignore[arg-type]

    assert found() == [0, 1, 2, 3]
    assert found(newest_first=True) == [3, 2, 1, 0]
    assert found(phase="outcome") == [2, 3]
    assert found(principal="user:bob") == found(tenant="ward") == [1, 3]
    assert found(release="other@production") == [3]
    assert found(since=LATER) == [2, 3]
    assert found(until=LATER) == [0, 1]
    assert found(since=AT, until=LATER, tenant="default", phase="intent") == [0]
    assert found(principal="user:eve") == []
    assert [row.content for row in ledger.audit_records.search(phase="outcome")] == [None, None]
    assert [row.content for row in ledger.audit_records.search(phase="outcome", content=True)] == [b"secret", None]
    assert [row.content for row in ledger.audit_records.of("r-1")] == [None, b"secret"]
    for found_rows in (ledger.audit_records.search(), ledger.audit_records.search(content=True)):
        assert [row.kept for row in found_rows] == [False, False, True, False]
    assert [row.kept for row in ledger.audit_records.of("r-1")] == [False, True]
    assert ledger.audit_records.of("absent") == []


def test_more_records_than_are_read_at_once_come_once_each(ledger: Ledger) -> None:
    ledger.audit_records.append([audit_row(f"r-{number}") for number in range(2300)])
    assert [row.leaf for row in ledger.audit_records.search()] == list(range(2300))
    assert [row.leaf for row in ledger.audit_records.search(newest_first=True)] == list(range(2299, -1, -1))
    assert [row.leaf for row in ledger.audit_records.search(content=True)] == list(range(2300))


def test_feedback_is_found_by_what_it_is_about(ledger: Ledger) -> None:
    first = ledger.feedback.add("f-1", "r-1", "default", "user:ada", {"rating": 1}, b"encrypted", at=AT)
    second = ledger.feedback.add("f-2", "r-2", "ward", "user:bob", {"rating": -1}, at=LATER)
    assert list(ledger.feedback.list()) == [first, second]
    assert list(ledger.feedback.list(response="r-2")) == list(ledger.feedback.list(tenant="ward")) == [second]
    assert list(ledger.feedback.list(since=LATER)) == [second]
    assert list(ledger.feedback.list(until=LATER)) == [first]
    assert (first.facts, first.content, first.leaf) == ({"rating": 1}, b"encrypted", 0)
    with pytest.raises(UserError, match="f-1 already"):
        ledger.feedback.add("f-1", "r-3", "default", "user:eve", {})
    assert ledger.log.head().size == 2


def test_a_tenants_key_is_made_and_destroyed_once_and_can_be_followed_by_another(ledger: Ledger) -> None:
    keys = ledger.tenant_keys
    assert keys.version() == -1
    assert keys.made("ward", "a", "first use") == "a"
    assert keys.made("ward", "b", "first use") == "a"
    assert keys.made("default", "c", "first use") == "c"
    before = keys.version()
    assert keys.destroyed("ward", "they left") == "a"
    assert keys.version() > before
    assert keys.made("ward", "d", "first use") == "d"
    said = [(event.key, event.action, event.reason) for event in keys.list("ward")]
    assert said == [("a", "made", "first use"), ("a", "destroyed", "they left"), ("d", "made", "first use")]
    assert len(keys.list()) == 4
    with pytest.raises(UserError, match="needs a reason"):
        keys.destroyed("ward", " ")
    with pytest.raises(UserError, match="no key"):
        keys.destroyed("absent", "why not")
    keys.destroyed("ward", "again")
    with pytest.raises(UserError, match=r"destroyed already, on 2.* by ada@host"):
        keys.destroyed("ward", "and again")
