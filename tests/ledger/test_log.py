"""Every change is one leaf, in the order in which it was made, and can be proved."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any, Self

import pytest
import sqlalchemy as sql

from loresmith.errors import LoresmithError, UserError
from loresmith.ledger import Ledger, clock
from loresmith.ledger.schema import LOG_LEAF
from tests.ledger.places import AT, Place, add_asset, furnish, record_action
from tests.ledger.postgres import plain_engine


def test_each_mutation_is_one_leaf(ledger: Ledger, place: Place) -> None:
    first = add_asset(ledger, place, "one").digest
    second = add_asset(ledger, place, "two").digest
    run = ledger.runs.start("0" * 64, "demo", {})
    key = "1" * 64
    checks: list[tuple[str, str, bool, dict[str, Any]]] = [("text", "gate", True, {})]
    mutations: list[Callable[[], object]] = [
        lambda: add_asset(ledger, place, "three"),
        lambda: ledger.runs.start("0" * 64, "demo", {}),
        lambda: ledger.runs.event(run, "step-started", "copy"),
        lambda: ledger.runs.add_metrics(run, "copy", [("loss", 1.0, step, AT) for step in range(100)]),
        lambda: record_action(ledger, place, "copy", {"text": first}, {"a": "new", "text": "too"}, run, checks=checks),
        lambda: ledger.checkpoints.add(key, run, "state", key, 1.0, 1),
        lambda: ledger.receipts.add(first, "gate", True, {}),
        lambda: ledger.releases.promote("acme", first, "production", "because"),
        lambda: ledger.releases.promote("acme", second, "production", "because"),
        lambda: ledger.releases.rollback("acme"),
    ]
    for mutation in mutations:
        before = ledger.log.head()
        mutation()
        after = ledger.log.head()
        assert after.size == before.size + 1
        assert ledger.log.consistency_proof(before.size).old_root == before.root
    silent: list[Callable[[], object]] = [
        lambda: add_asset(ledger, place, "three"),
        lambda: ledger.runs.add_metrics(run, "copy", []),
        lambda: ledger.runs.beat(run),
        lambda: ledger.claims.acquire(key, run),
        lambda: ledger.claims.beat(key, run),
        lambda: ledger.claims.release(key, run),
        lambda: ledger.assets.directory(first),
    ]
    head = ledger.log.head()
    for operation in silent:
        operation()
        assert ledger.log.head() == head


def test_a_refused_change_leaves_no_leaf(ledger: Ledger, place: Place) -> None:
    asset = add_asset(ledger, place, "one").digest
    before, rows = ledger.log.head(), place.counts()
    refused: list[Callable[[], object]] = [
        lambda: ledger.assets.add("source", place.folder / "absent"),
        lambda: ledger.assets.add("source", place.files("nan", {"x": "y"}), {"value": float("nan")}),
        lambda: ledger.runs.event("absent", "finished"),
        lambda: ledger.runs.add_metrics("absent", "copy", [("loss", 1.0, 1.0, AT)]),
        lambda: record_action(ledger, place, "copy", {"text": "0" * 64}, {"text": "new"}, "absent"),
        lambda: ledger.receipts.add("0" * 64, "gate", True, {}),
        lambda: ledger.releases.promote("acme", "0" * 64, "production", "because"),
        lambda: ledger.releases.promote("acme", asset, "production", " "),
        lambda: ledger.releases.rollback("acme"),
    ]
    for refusal in refused:
        with pytest.raises(LoresmithError):
            refusal()
        assert (ledger.log.head(), place.counts()) == (before, rows)


def test_payloads_say_who_did_what(ledger: Ledger, place: Place) -> None:
    asset = add_asset(ledger, place, "one")
    ledger.releases.promote("acme", asset.digest, "candidate", "it passed the gate")
    engine = plain_engine(place.database)
    with engine.connect() as connection:
        payload = connection.execute(sql.select(LOG_LEAF.c.payload).where(LOG_LEAF.c.index == 1)).scalar_one()
    engine.dispose()
    said = json.loads(payload)
    assert (said["actor"], said["kind"], said["key"]) == ("ada@host", "release-promote", "acme@candidate")
    assert said["rows"]["release_event"][0]["reason"] == "it passed the gate"


def test_every_leaf_and_every_older_state_can_be_proved(ledger: Ledger, place: Place) -> None:
    furnish(ledger, place)
    size = ledger.log.head().size
    for now in range(1, size + 1):
        assert ledger.log.consistency_proof(now).holds()
        for index in range(now):
            assert ledger.log.inclusion_proof(index, now).holds()
    proof = ledger.log.inclusion_proof(0)
    assert not proof.model_copy(update={"leaf": ledger.log.inclusion_proof(1).leaf}).holds()


def test_there_is_no_proof_of_what_is_not_there(ledger: Ledger, place: Place) -> None:
    add_asset(ledger, place, "one")
    for index, size in ((1, None), (-1, None), (0, 2), (0, 0)):
        with pytest.raises(UserError):
            ledger.log.inclusion_proof(index, size)
    for old, new in ((0, 1), (2, None), (1, 2)):
        with pytest.raises(UserError):
            ledger.log.consistency_proof(old, new)


def test_order_does_not_come_from_the_clock(ledger: Ledger, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    years = iter(range(2999, 2000, -1))

    class Backwards(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls(next(years), 1, 1, tzinfo=tz)

    monkeypatch.setattr("loresmith.ledger.clock.datetime", Backwards)
    made = [add_asset(ledger, place, text) for text in ("one", "two", "three")]
    assert [asset.created_at for asset in made] == sorted((asset.created_at for asset in made), reverse=True)
    assert ledger.assets.list() == made[::-1]
    runs = [ledger.runs.start("0" * 64, "demo", {}) for _ in range(3)]
    assert [run.id for run in ledger.runs.list()] == runs[::-1]
    for asset in made:
        ledger.releases.promote("acme", asset.digest, "production", "because")
    assert ledger.releases.rollback("acme").asset == made[1].digest
    first = record_action(ledger, place, "copy", {"text": made[0].digest}, {"text": "a"}, runs[0])
    second = record_action(ledger, place, "copy", {"text": made[1].digest}, {"text": "b"}, runs[0])
    assert first.finished_at > second.finished_at
    assert ledger.assets.find("demo/copy").digest == second.outputs["text"]
    assert ledger.log.verify().problems == ()


def test_times_are_utc_and_to_the_microsecond() -> None:
    moment = clock.timestamp()
    assert len(moment) == 27
    assert moment.endswith("Z")
    assert 0 <= clock.seconds_since(moment) < 60
