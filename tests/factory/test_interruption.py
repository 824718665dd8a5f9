"""Kill anything, at any moment: the next start goes on, and ends where it would have ended."""

from __future__ import annotations

import json
import os
import random
import selectors
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from loresmith import Workspace
from loresmith.errors import Failure, Interrupted
from loresmith.factory.compute import Compute
from loresmith.factory.death import ending, likely_cause, was_killed
from loresmith.factory.launcher import seconds_to_stop
from tests.factory.conftest import RUN_SCRIPT, Factory

SLOW = """
hello: {step: write-text, text: hello}
count: {step: count-slowly, after: hello, to: 40, pause: 0.03}
last: {step: write-text, text: last}
"""

PRESSED_SLOWLY = """
import sys
from loresmith.cli.main import main
from loresmith.factory import stopping
stopping.ONE_PRESS_SECONDS = 3.0
sys.exit(main(sys.argv[1:]))
"""
"""The command line for somebody between whose presses, meant as one, the machine may have been busy with others."""


def wait_until(what: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(0.02)


def workers_of(factory: Factory) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if "loresmith.factory.worker" in words and any(str(factory.folder) in word for word in words):
                found.append(process)
        except psutil.Error:
            continue
    return found


def count_so_far(factory: Factory) -> int:
    states = list(factory.folder.glob(".loresmith/work/*/state/state.json"))
    return int(json.loads(states[0].read_text())[0]) if states else 0


def is_stuck(factory: Factory) -> bool:
    """Whether the step that hangs has come so far: it has written what it writes a moment before."""
    return any(factory.folder.glob(".loresmith/work/*/outputs/text/text.txt"))


def test_a_killed_factory_goes_on_and_ends_where_it_would_have_ended(factory: Factory, tmp_path: Path) -> None:
    undisturbed = Factory(tmp_path / "undisturbed")
    expected = undisturbed.workspace.run(undisturbed.recipe(SLOW)).actions()["count"].outputs
    recipe = factory.recipe(SLOW)
    moments = random.Random(7)
    for _ in range(5):
        process = factory.start(recipe)
        time.sleep(0.4 + moments.random() * 0.9)
        process.kill()
        process.wait()
        assert factory.workspace.verify().problems == ()
        newest = next(iter(factory.workspace.runs), None)
        if newest is not None:
            assert newest.status in ("interrupted", "completed")
    wait_until(lambda: workers_of(factory) == [])  # a worker dies with its factory
    run = factory.workspace.run(recipe)
    assert run.status == "completed"
    assert run.actions()["count"].outputs == expected
    log = "".join(path.read_text() for path in (factory.folder / ".loresmith" / "runs").glob("*/count.log"))
    assert "counting on from" in log
    positions = [metric.position for metric in run.metrics("count", "total")]
    assert positions == sorted(set(positions))
    assert factory.workspace.verify().problems == ()


def test_a_killed_worker_interrupts_its_run_and_the_next_goes_on(factory: Factory) -> None:
    recipe = factory.recipe(SLOW.replace("40", "120"))
    process = factory.start(recipe)
    wait_until(lambda: count_so_far(factory))
    for worker in workers_of(factory):
        worker.kill()
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "SIGKILL" in message
    assert "--resume" in message
    killed = next(iter(factory.workspace.runs))
    states = {step.name: step.state for step in killed.steps()}
    assert (killed.status, states["hello"], states["count"]) == ("interrupted", "made", "interrupted")
    assert killed.cause is not None
    assert "SIGKILL" in killed.cause.what
    run = factory.workspace.run(recipe)
    assert run.status == "completed"
    log = (run.folder / "count.log").read_text()
    assert "counting on from" in log
    assert "counting on from 0" not in log


def test_ctrl_c_stops_at_a_safe_point_within_five_seconds(factory: Factory) -> None:
    recipe = factory.recipe("count: {step: count-slowly, to: 100000, pause: 0.01}")
    took = []
    for _ in range(3):  # a machine that stands still is as late as it was
        before = count_so_far(factory)
        process = factory.start(recipe)
        wait_until(lambda before=before: count_so_far(factory) > before)
        asked = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        _, message = process.communicate(timeout=60)
        took.append(time.monotonic() - asked)
        assert process.returncode == 130
        assert "stopped at a safe point" in message
        assert "--resume" in message
        assert next(iter(factory.workspace.runs)).status == "interrupted"
        if took[-1] < 5:
            break
    assert min(took) < 5


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_step_that_is_slow_to_reach_a_safe_point_is_given_the_time(factory: Factory, number: signal.Signals) -> None:
    """As a training step whose batch takes longer than anybody would wait for one that hangs."""
    recipe = factory.recipe("count: {step: count-slowly, to: 2, pause: 5}")
    process = factory.start(recipe)
    wait_until(lambda: count_so_far(factory))
    asked = time.monotonic()
    process.send_signal(number)
    _, message = process.communicate(timeout=60)
    assert time.monotonic() - asked < 25
    (state,) = factory.folder.glob(".loresmith/work/*/state/state.json")
    assert time.time() - state.stat().st_mtime > 4.9, "it went on to the safe point"
    assert process.returncode == 130
    assert "stopped at a safe point" in message
    assert count_so_far(factory) == 1
    assert factory.workspace.run(recipe).status == "completed"


def test_a_second_ctrl_c_ends_a_step_that_hangs_and_nothing_else_is_claimed(factory: Factory) -> None:
    recipe = factory.recipe("stuck: {step: misbehave, how: hang}")
    words = [sys.executable, "-c", PRESSED_SLOWLY, "run", str(recipe), "--workspace", str(factory.folder)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: is_stuck(factory))
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)  # by a program that passes on what the terminal sent as well: still the first
    assert process.stderr is not None
    message = ""
    while "stopping at the next safe point" not in message:
        message += (line := process.stderr.readline())
        assert line, message
    time.sleep(4)  # since it took note of the first
    assert process.poll() is None, "it is given time"
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    message += process.communicate(timeout=60)[1]
    assert time.monotonic() - asked < 20
    assert process.returncode == 130
    assert "stuck: stopping at the next safe point, within 30 s; a second Ctrl-C ends it at once" in message
    assert "the step was ended, having reached no safe point; " in message
    assert "stopped at a safe point" not in message
    assert next(iter(factory.workspace.runs)).status == "interrupted"
    assert workers_of(factory) == []


def test_a_step_that_hangs_is_ended_when_a_job_scheduler_s_time_is_up(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "1")
    compute = 'compute: {launcher: slurm, slurm: {signal: "B:TERM@4"}}'
    process = factory.start(factory.recipe("stuck: {step: misbehave, how: hang}", rest=compute))
    wait_until(lambda: is_stuck(factory))
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, message = process.communicate(timeout=60)
    assert 1.5 < time.monotonic() - asked < 25
    assert process.returncode == 130
    assert "having reached no safe point within 2 s" in message
    assert workers_of(factory) == []


def test_the_time_to_stop_is_what_the_scheduler_leaves() -> None:
    assert seconds_to_stop(Compute()) == 100
    assert seconds_to_stop(Compute(launcher="slurm", slurm={"time": "1:00:00"})) == 100
    assert seconds_to_stop(Compute(launcher="slurm", slurm={"signal": "B:TERM@600"})) == 580


def test_a_killed_step_whose_child_lives_on_does_not_hold_the_run(factory: Factory) -> None:
    began = time.monotonic()
    with pytest.raises(Interrupted, match="SIGKILL"):
        factory.workspace.run(factory.recipe("bad: {step: misbehave, how: orphan}"))
    assert time.monotonic() - began < 25


def test_what_a_step_says_last_is_heard_however_late_it_is_looked(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the machine stands still after a look at which there was nothing to hear, until the step has ended."""
    missed: list[float | None] = []

    class Late(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> Any:
            found = super().select(timeout)
            if not found and not missed:
                wait_until(lambda: workers_of(factory) == [])
                missed.append(timeout)
            return found

    monkeypatch.setattr(selectors, "DefaultSelector", Late)
    run = factory.workspace.run(factory.recipe("count: {step: count-slowly, to: 2, pause: 1}"))
    assert run.status == "completed"
    assert missed


@pytest.mark.parametrize(
    ("status", "killed", "said"),
    [
        (-signal.SIGKILL, True, "was ended by SIGKILL"),
        (-signal.SIGTERM, True, "was ended by SIGTERM"),
        (-signal.SIGSEGV, False, "was ended by SIGSEGV"),
        (-signal.SIGABRT, False, "was ended by SIGABRT"),
        (-40, True, "was ended by signal 40"),
        (3, False, "ended with status 3 without a word"),
        (None, True, "ended without a word"),
    ],
)
def test_being_killed_is_told_from_crashing(status: int | None, killed: bool, said: str) -> None:
    assert was_killed(status) == killed
    assert ending(status) == said
    assert ("memory" in likely_cause(status)) == (status in (None, -signal.SIGKILL))


def test_two_runs_of_one_plan_do_the_work_once_and_both_end_well(factory: Factory) -> None:
    recipe = factory.recipe(SLOW)
    processes = [factory.start(recipe) for _ in range(3)]
    for process in processes:
        _, message = process.communicate(timeout=200)
        assert process.returncode == 0, message
    started = [step for _, step in factory.events("step-started")]
    assert sorted(started) == ["count", "hello", "last"]
    assert [run.status for run in factory.workspace.runs] == ["completed"] * 3
    assert factory.workspace.verify().problems == ()


def test_a_full_disk_is_said_in_one_sentence_and_harms_nothing(tmp_path: Path) -> None:
    """A real full disk: a file system of 3 MB in a mount namespace of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: full\nsteps:\n"
        "  small: {step: write-text, text: small}\n"
        f"  large: {{step: write-text, text: {'x' * 8000}, times: 1000}}\n"
    )
    script = RUN_SCRIPT.replace("Workspace.open", "Workspace.init")
    check = (
        "import sys; from loresmith import Workspace; w = Workspace.open(sys.argv[1]);"
        "print(w.verify().problems, [s.state for s in w.plan(sys.argv[2]).steps])"
    )
    result = subprocess.run(
        [
            "unshare",
            "-rm",
            "sh",
            "-c",
            'mount -t tmpfs -o size=3m tmpfs "$1" && "$2" -c "$3" "$1" "$4"; echo "status $?"; "$2" -c "$5" "$1" "$4"',
            "sh",
            str(folder),
            sys.executable,
            script,
            str(recipe),
            check,
        ],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert "status 1" in result.stdout, result.stderr
    assert "the disk is full" in result.stderr
    assert "Traceback" not in result.stderr
    assert "() ['cached', 'to do']" in result.stdout, result.stdout + result.stderr


def test_a_read_only_workspace_can_be_looked_at_and_says_that_it_cannot_be_written(tmp_path: Path) -> None:
    """A real read-only file system, in a mount namespace of its own."""
    folder = tmp_path / "sealed"
    folder.mkdir()
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: sealed\nsteps:\n  a: {step: write-text, text: one}\n")
    other = tmp_path / "other.yaml"
    other.write_text("name: sealed\nsteps:\n  a: {step: write-text, text: two}\n")
    commands = """
        mount -t tmpfs tmpfs "$1"
        "$2" -m loresmith init "$1" --bare && "$2" -m loresmith run "$3" -w "$1" || exit 9
        mount -o remount,ro "$1"
        "$2" -m loresmith runs -w "$1" --json; echo "runs $?"
        "$2" -m loresmith plan "$3" -w "$1"; echo "plan $?"
        "$2" -m loresmith ledger verify -w "$1"; echo "verify $?"
        "$2" -m loresmith run "$4" -w "$1"; echo "run $?"
    """
    words = ["unshare", "-rm", "sh", "-c", commands, "sh", str(folder), sys.executable, str(recipe), str(other)]
    result = subprocess.run(words, capture_output=True, text=True, timeout=400)
    for line in ("runs 0", "plan 0", "verify 0", "run 1"):
        assert line in result.stdout.splitlines(), result.stdout + result.stderr
    refusals = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(refusals) == 1
    assert "read-only" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_damaged_input_is_named_before_it_is_used(factory: Factory) -> None:
    recipe = factory.recipe("hello: {step: write-text, text: hello}")
    factory.workspace.run(recipe)
    asset = factory.workspace.assets["test/hello"]
    (file,) = asset.asset.files.values()
    (blob,) = (factory.folder / ".loresmith" / "blobs").rglob(file.digest)
    blob.chmod(0o644)
    blob.write_bytes(b"HELLO")
    problems = asset.verify().problems
    assert any(file.digest[:12] in problem for problem in problems)
    with pytest.raises(Failure, match=file.digest[:12]):
        factory.workspace.run(
            factory.recipe("hello: {step: write-text, text: hello}\nb: {step: join-text, first: hello}")
        )


@pytest.mark.parametrize("garbage", ["{", "{}"])
@pytest.mark.parametrize(("table", "column"), [("asset", "manifest"), ("run", "plan"), ("action", "config")])
def test_a_garbled_row_is_a_damaged_ledger_and_not_a_defect(
    factory: Factory, table: str, column: str, garbage: str
) -> None:
    recipe = factory.recipe("hello: {step: write-text, text: hello}", rest="release: {name: words, asset: hello}")
    run = factory.workspace.run(recipe)
    with sqlite3.connect(factory.folder / ".loresmith" / "ledger.db") as ledger:
        for (trigger,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            ledger.execute(f"DROP TRIGGER {trigger}")
        ledger.execute(f"UPDATE {table} SET {column} = ?", (garbage,))
    looks = [
        lambda: factory.workspace.plan(recipe),
        lambda: factory.workspace.assets["words"],
        lambda: factory.workspace.runs[run.id].plan(),
    ]
    refused = []
    for look in looks:
        try:
            look()
        except Failure as error:
            refused.append(str(error))
    if (table, garbage) != ("action", "{}"):  # an empty config can be read
        assert refused
    for message in refused:
        assert "the ledger is damaged" in message
        assert "loresmith ledger verify" in message
    assert factory.workspace.verify().first_bad is not None


def test_the_record_of_a_run_survives_the_end_of_its_process(factory: Factory) -> None:
    with Workspace.open(factory.folder) as other:
        other.run(factory.recipe("hello: {step: write-text, text: hello}"))
    assert next(iter(factory.workspace.runs)).status == "completed"
