"""What a person sees of a run while it goes on, here and from another terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from loresmith import Workspace
from loresmith.cli.live import Event, Pace, live_run, numbers
from tests.cli.conftest import CommandLine

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SLOW = "name: slow\nsteps:\n  count: {step: count-slowly, to: 40, pause: 0.05}\n"


def progress(second: float, done: float, total: float | None = 1000) -> Event:
    at = (NOON + timedelta(seconds=second)).isoformat()
    return {
        "event": "progress",
        "step": "base",
        "done": done,
        "total": total,
        "unit": "tokens",
        "at": at,
        "numbers": {},
    }


def test_the_rate_is_that_of_the_recent_past() -> None:
    pace = Pace()
    for second in range(100):
        pace.add(progress(second, second * 5))
    for second in range(100, 200):
        pace.add(progress(second, 500 + (second - 100) * 2))
    assert pace.rate == pytest.approx(2)
    assert pace.left(progress(200, 700)) == pytest.approx(150)


def test_nothing_is_said_of_a_rate_that_is_not_known() -> None:
    pace = Pace()
    assert pace.rate is None
    pace.add(progress(0, 0))
    assert pace.left(progress(0, 0)) is None
    pace.add(progress(1, 10, total=None))
    assert pace.rate == pytest.approx(10)
    assert pace.left(progress(1, 10, total=None)) is None


def test_a_second_phase_starts_the_clock_again() -> None:
    pace = Pace()
    pace.add(progress(0, 0))
    pace.add(progress(10, 1000))
    pace.add(progress(11, 0))
    pace.add(progress(12, 7))
    assert pace.rate == pytest.approx(7)


def test_another_unit_starts_the_clock_again_whether_its_numbers_are_larger_or_not() -> None:
    pace = Pace()
    pace.add({**progress(0, 0), "unit": "documents"})
    pace.add({**progress(10, 1000), "unit": "documents"})
    assert pace.rate == pytest.approx(100)
    pace.add({**progress(11, 1_000_000, total=3_000_000), "unit": "bytes"})
    assert pace.rate is None
    assert pace.left({**progress(11, 1_000_000, total=3_000_000), "unit": "bytes"}) is None
    pace.add({**progress(13, 2_000_000, total=3_000_000), "unit": "bytes"})
    assert pace.rate == pytest.approx(500_000)
    assert pace.left({**progress(13, 2_000_000, total=3_000_000), "unit": "bytes"}) == pytest.approx(2)


def test_a_bar_does_not_keep_the_total_of_another_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with live_run(None) as emit:
        bars = emit.__self__  # type: ignore[attr-defined]
        for done, total, unit in ((0, 1000, "documents"), (1000, 1000, "documents"), (7, None, "bytes")):
            emit({**progress(1, done, total), "unit": unit})
        (bar,) = bars._progress.tasks
        assert (bar.completed, bar.total) == (7, None)


def test_the_numbers_of_a_step_are_shown_by_name() -> None:
    assert numbers({"numbers": {"loss": 2.34567, "held_out": 1.79}}) == "loss 2.346, held_out 1.79"


def test_where_there_is_no_terminal_each_line_has_its_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loresmith.cli.live.LINE_SECONDS", 0.0)
    with live_run(None) as emit:
        emit({"event": "step-started", "step": "base", "kind": "pretrain"})
        emit(progress(0, 0))
        emit({**progress(10, 100), "numbers": {"loss": 2.5}})
        emit({"event": "checkpoint", "step": "base", "path": "state", "position": 100})
        emit({"event": "step-finished", "step": "base", "seconds": 75.0, "peak_bytes": 2_000_000})
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d base: ", line) for line in lines)
    assert [line[26:] for line in lines] == [
        "started (pretrain)",
        "0/1k tokens",
        "100/1k tokens, 10 tokens/s, 1 min 30 s left, loss 2.5",
        "done in 1 min 15 s, at most 2.0 MB of memory",
    ]


def test_a_run_can_be_watched_from_another_terminal_to_its_end(fresh: CommandLine) -> None:
    fresh.write("slow.yaml", SLOW)
    running = fresh.start("run", "slow.yaml")
    while not (runs := fresh("runs", "--json").json["runs"]):
        time.sleep(0.1)
    watching = fresh.start("runs", "watch", runs[0]["id"], "--interval", "0.1")
    out, err = watching.communicate(timeout=200)
    assert watching.returncode == 0
    assert "count: started (count-slowly)" in err
    assert "count: counting on from 0" in err
    assert "count: done in" in err
    assert "completed" in out
    assert running.wait(timeout=60) == 0


def test_a_run_whose_process_is_gone_is_watched_to_its_end_too(fresh: CommandLine) -> None:
    fresh.write("slow.yaml", SLOW.replace("40", "1000"))
    running = fresh.start("run", "slow.yaml")
    while not (runs := fresh("runs", "--json").json["runs"]):
        time.sleep(0.1)
    watching = fresh.start("runs", "watch", runs[0]["id"])
    assert watching.stderr is not None
    for line in watching.stderr:
        if "count: counting on" in line:
            break
    running.kill()
    running.communicate()
    out, _ = watching.communicate(timeout=60)
    assert watching.returncode == 1
    assert "interrupted" in out
    (step,) = fresh("runs", "show", runs[0]["id"], "--json").json["steps"]
    assert step["state"] == "interrupted"


def test_following_a_finished_run_tells_all_of_it_once(fresh: CommandLine) -> None:
    fresh.write("slow.yaml", SLOW)
    seen: list[Event] = []
    with Workspace.open(fresh.folder) as workspace:
        run = workspace.run(workspace.plan("slow.yaml"), seen.append)
        told = list(run.follow(pause=0.01))

    def kinds(events: list[Event]) -> list[str]:
        return [event["event"] for event in events if event["event"] not in ("metric", "run-finished")]

    assert kinds(told) == kinds(seen)


def test_on_a_terminal_a_bar_shows_rate_and_time_left(fresh: CommandLine) -> None:
    fresh.write("slow.yaml", SLOW)
    here, there = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "loresmith", "run", "slow.yaml"],
        cwd=fresh.folder,
        stdin=there,
        stdout=there,
        stderr=there,
        env={**os.environ, "COLUMNS": "120", "TERM": "xterm"},
    )
    os.close(there)
    shown = b""
    while True:
        try:
            shown += os.read(here, 1 << 16)
        except OSError:  # the other end is closed
            break
    os.close(here)
    assert running.wait(timeout=60) == 0
    text = shown.decode()
    assert "/40 numbers" in text
    assert "/s" in text
    assert " left" in text
    assert re.search(r"\btotal \d", text)  # of any moment: the bar goes with its step, drawn to the end or not
    assert "count: done in" in text
