"""A run is what its process makes of it; one whose process is gone is interrupted, never running."""

from __future__ import annotations

import math
import os
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sql

from loresmith.errors import UserError
from loresmith.ledger import Ledger
from loresmith.ledger.liveness import Process, this_host
from loresmith.ledger.runs import EventKind
from loresmith.ledger.schema import HEARTBEAT
from tests.ledger.places import AT, Place
from tests.ledger.processes import Child


def start(ledger: Ledger, host: str | None = None, pid: int | None = None) -> str:
    return ledger.runs.start("0" * 64, "demo", {"steps": [{"name": "copy"}]}, host, pid)


def set_beat(place: Place, run: str, seconds_ago: float) -> None:
    at = (datetime.now(UTC) - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    with place.behind_its_back() as connection:
        connection.execute(sql.update(HEARTBEAT).where(HEARTBEAT.c.run == run).values(at=at))


def test_a_run_is_running_while_its_process_is(ledger: Ledger) -> None:
    run = ledger.runs.get(start(ledger))
    assert (run.status, run.pid, run.host, run.actor) == ("running", os.getpid(), this_host(), "ada@host")
    assert run.plan == {"steps": [{"name": "copy"}]}
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", run.id)


def test_a_run_that_said_how_it_ended_is_that(ledger: Ledger) -> None:
    ends: dict[EventKind, str] = {"finished": "completed", "failed": "failed", "interrupted": "interrupted"}
    for kind, status in ends.items():
        run = start(ledger)
        ledger.runs.event(run, "step-started", "copy")
        event = ledger.runs.event(run, kind, data={"what": "why"})
        found = ledger.runs.get(run)
        assert (found.status, found.ended_at) == (status, event.at)
        assert ledger.runs.list()[0] == found


def test_a_killed_run_is_interrupted(place: Place, ledger: Ledger) -> None:
    def work() -> None:
        with place.open() as own:
            start(own)
            time.sleep(60)

    child = Child(work)
    deadline = time.monotonic() + 30
    while not ledger.runs.list():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (run,) = ledger.runs.list()
    assert (run.pid, run.status) == (child.pid, "running")
    child.kill()
    assert ledger.runs.get(run.id).status == "interrupted"


def test_a_run_whose_number_another_process_has_now_is_interrupted(ledger: Ledger) -> None:
    impostor = Process(host=this_host(), pid=os.getpid(), started="1")
    assert Process.current().is_alive()
    assert not impostor.is_alive()


def test_a_heartbeat_does_not_revive_a_dead_process_of_this_machine(ledger: Ledger) -> None:
    child = Child(int)
    child.result()
    run = start(ledger, pid=child.pid)
    ledger.runs.beat(run)
    assert ledger.runs.get(run).status == "interrupted"


def test_a_run_on_another_machine_lives_by_its_heartbeat(ledger: Ledger, place: Place) -> None:
    run = start(ledger, host="elsewhere", pid=1)
    assert ledger.runs.get(run).status == "running"
    set_beat(place, run, seconds_ago=61)
    assert ledger.runs.get(run).status == "interrupted"
    ledger.runs.beat(run)
    assert ledger.runs.get(run).status == "running"
    # That machine's clock may be ahead of ours.
    set_beat(place, run, seconds_ago=-3600)
    assert ledger.runs.get(run).status == "running"


def test_events_come_back_in_their_order(ledger: Ledger) -> None:
    run, other = start(ledger), start(ledger)
    ledger.runs.event(run, "step-started", "copy")
    ledger.runs.event(other, "step-cached", "copy")
    ledger.runs.event(run, "step-failed", "copy", {"what": "no", "numbers": [1, 2.5]})
    ledger.runs.event(run, "failed")
    events = ledger.runs.events(run)
    assert [(event.kind, event.step) for event in events] == [
        ("step-started", "copy"),
        ("step-failed", "copy"),
        ("failed", None),
    ]
    assert events[1].data == {"what": "no", "numbers": [1, 2.5]}


def test_numbers_come_back_as_they_were(ledger: Ledger) -> None:
    run = start(ledger)
    values = [0.1, 0.0, 5.82397676776733e16, 2.0**53, 1e-300, 1e300, math.pi, math.inf, -math.inf, math.nan, 3]
    ledger.runs.add_metrics(run, "train", [("loss", value, step, AT) for step, value in enumerate(values)])
    ledger.runs.add_metrics(run, "train", [("rate", 1.0, 0, AT)])
    ledger.runs.add_metrics(run, "evaluate", [("loss", 2.0, 0, AT)])
    found = ledger.runs.metrics(run, step="train", name="loss")
    assert [str(metric.value) for metric in found] == [str(float(value)) for value in values]
    assert [metric.position for metric in found] == list(range(len(values)))
    assert [metric.name for metric in ledger.runs.metrics(run, step="train")][-1] == "rate"
    assert len(ledger.runs.metrics(run)) == len(values) + 2
    assert ledger.log.verify().problems == ()


def test_ids_sort_by_start_and_the_newest_come_first(ledger: Ledger) -> None:
    runs = [start(ledger) for _ in range(5)]
    assert [run.id for run in ledger.runs.list()] == runs[::-1]
    assert [run.id for run in ledger.runs.list(limit=2)] == runs[:2:-1]
    assert len(set(runs)) == 5


def test_an_unknown_run_names_the_nearest(ledger: Ledger) -> None:
    run = start(ledger)
    with pytest.raises(UserError, match=run):
        ledger.runs.get(run[:-1] + "g")
    assert ledger.runs.events("absent") == []


def test_the_runs_that_worked_on_an_action_are_found_in_order(ledger: Ledger) -> None:
    first, second = start(ledger), start(ledger)
    ledger.runs.event(first, "step-started", "train", {"key": "a" * 64})
    ledger.runs.event(second, "step-started", "base", {"key": "a" * 64})
    ledger.runs.event(second, "step-cached", "other", {"key": "a" * 64})
    ledger.runs.event(second, "step-started", "report", {"key": "b" * 64})
    assert list(ledger.runs.working_on("a" * 64)) == [(first, "train"), (second, "base")]
    assert list(ledger.runs.working_on("c" * 64)) == []
