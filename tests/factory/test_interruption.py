"""Kill anything, at any moment: the next start goes on, and ends where it would have ended."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from loresmith import Workspace
from loresmith.errors import Failure
from tests.factory.conftest import RUN_SCRIPT, Factory

SLOW = """
hello: {step: write-text, text: hello}
count: {step: count-slowly, after: hello, to: 40, pause: 0.03}
last: {step: write-text, text: last}
"""


def wait_for_event(factory: Factory, kind: str, step: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if any(name == step for _, name in factory.events(kind)):
            return
        time.sleep(0.02)
    raise AssertionError(f"no {kind} of {step} within {seconds} s")


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
    time.sleep(0.2)
    assert workers_of(factory) == [], "a worker dies with its factory"
    run = factory.workspace.run(recipe)
    assert run.status == "completed"
    assert run.actions()["count"].outputs == expected
    log = "".join(path.read_text() for path in (factory.folder / ".loresmith" / "runs").glob("*/count.log"))
    assert "counting on from 0" in log
    positions = [metric.position for metric in run.metrics("count", "total")]
    assert positions == sorted(set(positions))
    assert factory.workspace.verify().problems == ()


def test_a_killed_worker_fails_its_step_and_the_next_run_goes_on(factory: Factory) -> None:
    recipe = factory.recipe(SLOW)
    process = factory.start(recipe)
    wait_for_event(factory, "step-started", "count")
    time.sleep(0.6)
    for worker in workers_of(factory):
        worker.kill()
    _, message = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "SIGKILL" in message
    run = factory.workspace.run(recipe)
    assert run.status == "completed"
    log = (run.folder / "count.log").read_text()
    assert "counting on from" in log
    assert "counting on from 0" not in log


def test_ctrl_c_stops_at_a_safe_point_within_five_seconds(factory: Factory) -> None:
    recipe = factory.recipe("count: {step: count-slowly, to: 100000, pause: 0.01}")
    process = factory.start(recipe)
    wait_for_event(factory, "step-started", "count")
    time.sleep(0.5)
    asked = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, message = process.communicate(timeout=20)
    assert time.monotonic() - asked < 5
    assert process.returncode == 130
    assert "--resume" in message
    assert next(iter(factory.workspace.runs)).status == "interrupted"


def test_a_step_that_hangs_is_ended_within_five_seconds(factory: Factory) -> None:
    process = factory.start(factory.recipe("stuck: {step: misbehave, how: hang}"))
    wait_for_event(factory, "step-started", "stuck")
    time.sleep(0.5)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert time.monotonic() - asked < 5
    assert process.returncode == 130
    assert workers_of(factory) == []


def test_a_killed_step_whose_child_lives_on_does_not_hold_the_run(factory: Factory) -> None:
    began = time.monotonic()
    with pytest.raises(Failure, match="SIGKILL"):
        factory.workspace.run(factory.recipe("bad: {step: misbehave, how: orphan}"))
    assert time.monotonic() - began < 15


def test_two_runs_of_one_plan_do_the_work_once_and_both_end_well(factory: Factory) -> None:
    recipe = factory.recipe(SLOW)
    processes = [factory.start(recipe) for _ in range(3)]
    for process in processes:
        _, message = process.communicate(timeout=60)
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
        timeout=60,
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
    result = subprocess.run(words, capture_output=True, text=True, timeout=120)
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
