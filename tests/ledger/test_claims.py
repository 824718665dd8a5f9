"""Two runs of one plan do the work once, and the work of a dead run is taken over."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import sqlalchemy as sql

from loresmith.errors import UserError
from loresmith.ledger import Ledger
from loresmith.ledger.runs import EventKind
from loresmith.ledger.schema import CLAIM, HEARTBEAT
from tests.ledger.places import Place
from tests.ledger.processes import Child, together

KEYS = [f"{number}" * 64 for number in range(8)]


def start(ledger: Ledger, host: str | None = None) -> str:
    return ledger.runs.start("0" * 64, "demo", {}, host, None if host is None else 1)


def test_each_claim_is_taken_by_exactly_one(place: Place, ledger: Ledger) -> None:
    def take(number: int) -> tuple[str, set[str]]:
        with place.open() as own:
            run = start(own)
            taken = {key for key in KEYS if own.claims.acquire(key, run)}
            await_others(place, number, 4)
            return run, taken

    found = together(take, [(number,) for number in range(4)])
    assert sorted(key for _run, taken in found for key in taken) == KEYS


def test_a_claim_is_held_until_it_is_given_up(ledger: Ledger) -> None:
    mine, other = start(ledger), start(ledger)
    assert ledger.claims.holder(KEYS[0]) is None
    assert ledger.claims.acquire(KEYS[0], mine)
    assert ledger.claims.acquire(KEYS[0], mine)
    assert not ledger.claims.acquire(KEYS[0], other)
    ledger.claims.release(KEYS[0], other)
    holder = ledger.claims.holder(KEYS[0])
    assert holder is not None
    assert (holder.action_key, holder.run) == (KEYS[0], mine)
    ledger.claims.release(KEYS[0], mine)
    assert ledger.claims.holder(KEYS[0]) is None
    assert ledger.claims.acquire(KEYS[0], other)


def test_the_claim_of_a_run_that_ended_is_free(ledger: Ledger) -> None:
    ends: tuple[EventKind, ...] = ("finished", "failed", "interrupted")
    for key, end in zip(KEYS, ends, strict=False):
        mine, other = start(ledger), start(ledger)
        ledger.claims.acquire(key, mine)
        ledger.runs.event(mine, end)
        assert ledger.claims.holder(key) is None
        assert ledger.claims.acquire(key, other)


def test_the_claim_of_a_killed_process_is_taken_over_by_exactly_one(place: Place, ledger: Ledger) -> None:
    def hold() -> None:
        with place.open() as own:
            own.claims.acquire(KEYS[0], start(own))
            time.sleep(60)

    child = Child(hold)
    wait_for(lambda: ledger.claims.holder(KEYS[0]) is not None)
    other = start(ledger)
    assert not ledger.claims.acquire(KEYS[0], other)
    child.kill()
    assert ledger.claims.holder(KEYS[0]) is None

    def take(number: int) -> bool:
        with place.open() as own:
            taken = own.claims.acquire(KEYS[0], start(own))
            await_others(place, number, 3)
            return taken

    assert sorted(together(take, [(number,) for number in range(3)])) == [False, False, True]


def test_the_claim_of_another_machine_lives_by_its_heartbeat(place: Place, ledger: Ledger) -> None:
    theirs, other = start(ledger, host="elsewhere"), start(ledger)
    assert ledger.claims.acquire(KEYS[0], theirs)
    long_ago = "2020-01-01T00:00:00.000000Z"

    def fall_silent(*tables: sql.Table) -> None:
        with place.behind_its_back() as connection:
            for table in tables:
                connection.execute(sql.update(table).values(at=long_ago))

    fall_silent(HEARTBEAT)
    assert not ledger.claims.acquire(KEYS[0], other)
    fall_silent(CLAIM)
    ledger.claims.beat(KEYS[0], theirs)
    assert not ledger.claims.acquire(KEYS[0], other)
    fall_silent(CLAIM)
    assert ledger.claims.acquire(KEYS[0], other)
    ledger.claims.beat(KEYS[0], theirs)
    holder = ledger.claims.holder(KEYS[0])
    assert holder is not None
    assert holder.run == other


def test_only_a_run_can_hold_a_claim(ledger: Ledger) -> None:
    with pytest.raises(UserError, match="unknown run"):
        ledger.claims.acquire(KEYS[0], "absent")


def await_others(place: Place, number: int, count: int) -> None:
    """Wait until so many have asked: while its process lives, a claim stays with its run."""
    (place.folder / f"asked-{number}").touch()
    wait_for(lambda: len(list(place.folder.glob("asked-*"))) == count)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
