"""A step of several processes is one step: it ends, stops, fails and goes on as one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from loresmith.errors import Failure, Interrupted, UserError
from loresmith.factory.compute import Compute
from loresmith.factory.events import EventReader, EventWriter
from loresmith.factory.launcher import SECONDS_ALONE, SlurmLauncher
from loresmith.factory.lead import Said
from tests.factory.conftest import Factory

TWO = "compute: {processes: 2, threads: 2}"


def recipe(factory: Factory, rest: str = TWO, **settings: object) -> Path:
    words = ", ".join(f"{key}: {value}" for key, value in {"step": "count-together", **settings}.items())
    return factory.recipe(f"count: {{{words}}}", rest=rest)


def log(factory: Factory) -> str:
    return "".join(path.read_text() for path in sorted(factory.folder.glob(".loresmith/runs/*/count.log")))


def leftovers(factory: Factory) -> list[str]:
    found = subprocess.run(["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if "loresmith.factory." in line and str(factory.folder) in line]


def test_it_is_done_once_though_one_aborts_after_the_work_and_its_processes_share_the_threads(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORESMITH_TEST_ABORTS", "1")
    run = factory.workspace.run(recipe(factory))
    action = run.actions()["count"]
    assert action.environment["processes"] == 2
    assert action.peak_bytes > 0
    assert "process 1 of 2, 1 threads" in log(factory)
    assert "process 2 of 2" not in log(factory), "the first alone speaks"
    # The number of processes is no part of what is made: with one there is nothing to do.
    again = factory.workspace.run(recipe(factory, rest=""))
    assert again.actions()["count"].key == action.key
    assert factory.events("step-finished") == [(run.id, "count")]


def test_a_process_that_is_killed_interrupts_the_run_and_the_next_start_goes_on(factory: Factory) -> None:
    path = recipe(factory, to=20, fault="killed")
    began = time.monotonic()
    with pytest.raises(
        Interrupted, match="of the step's 2 processes, number 2 was ended by SIGKILL; the usual"
    ) as caught:
        factory.workspace.run(path)
    assert time.monotonic() - began < 100
    assert "--resume" in str(caught.value.hint)
    assert leftovers(factory) == []
    (killed,) = factory.workspace.runs
    assert killed.status == "interrupted"
    assert factory.workspace.run(path).status == "completed"
    assert "from 9, process 1 of 2" in log(factory)


def test_whoever_waits_to_be_joined_by_one_that_is_dead_does_not_wait_long(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = factory.folder / "died"
    monkeypatch.setenv("LORESMITH_TEST_DIES_ALONE", str(died))
    with pytest.raises(Interrupted, match="number 2 was ended by SIGKILL"):
        factory.workspace.run(recipe(factory))
    assert time.time() - died.stat().st_mtime < SECONDS_ALONE


def test_a_process_that_crashes_fails_the_run(factory: Factory) -> None:
    with pytest.raises(Failure, match=r"of the step's 2 processes, number 2 was ended by SIGSEGV\n"):
        factory.workspace.run(recipe(factory, fault="crashes"))
    assert [run.status for run in factory.workspace.runs] == ["failed"]


def test_what_one_of_them_refuses_is_said_in_its_words(factory: Factory) -> None:
    with pytest.raises(UserError, match="half is enough") as caught:
        factory.workspace.run(recipe(factory, fault="refuses"))
    assert caught.value.where == "the last process"


def failed(rank: int) -> dict[str, Any]:
    """What a process says that has run into a defect, or into the end of another one."""
    words = {"what": f"number {rank + 1} raised", "where": None, "hint": None, "status": 1, "at": str(rank)}
    return {"event": "failed", "rank": rank, "defect": True, **words}


def ended(statuses: dict[str, int], *others: int) -> dict[str, Any]:
    return {"event": "ranks-ended", "statuses": statuses, "others": list(others)}


@pytest.mark.parametrize(
    ("events", "kind", "what"),
    [
        ([failed(0), {"event": "gave-up", "rank": 1}, ended({"0": 1})], "failed", "number 1 raised"),
        ([failed(0), ended({"0": 1}, 1)], "failed", "number 1 raised"),
        ([failed(0), ended({"0": 1, "1": -9})], "killed", "number 2 was ended by SIGKILL;"),
        ([ended({"0": -6, "1": -9})], "killed", "number 2 was ended by SIGKILL;"),
        ([ended({"1": 3}, 0)], "raised", "number 2 ended with status 3 without a word"),
        ([failed(0), ended({"0": 1, "1": -11})], "raised", "number 2 was ended by SIGSEGV"),
        ([ended({}, 0, 1)], "killed", "number 1 ended without a word, number 2 ended without a word;"),
    ],
)
def test_who_is_to_blame_is_named_and_not_whoever_missed_him(
    events: list[dict[str, Any]], kind: str, what: str
) -> None:
    read_end, write_end = os.pipe()
    said = Said(EventWriter(write_end), Compute(processes=2))
    for event in events:
        said.take(event)
    try:
        said.outcome(1)
        (told,) = EventReader().feed(os.read(read_end, 1 << 16))
        found = told["event"], told["what"]
    except Failure as error:
        found = "raised", error.what
    finally:
        os.close(read_end)
        os.close(write_end)
    assert found[0] == kind
    assert what in found[1]


@pytest.mark.parametrize(("status", "kind"), [(1, "failed"), (-9, "killed")])
def test_processes_that_could_not_be_started_were_not_killed_by_anybody(status: int, kind: str) -> None:
    read_end, write_end = os.pipe()
    said = Said(EventWriter(write_end), Compute(processes=2))
    try:
        if kind == "failed":
            with pytest.raises(Failure, match="the 2 processes of the step could not be started"):
                said.outcome(status)
        else:  # torchrun itself was
            said.outcome(status)
            assert [told["event"] for told in EventReader().feed(os.read(read_end, 1 << 16))] == ["killed"]
    finally:
        os.close(read_end)
        os.close(write_end)


@pytest.mark.slow
def test_a_request_to_stop_reaches_all_gives_them_time_and_leaves_nothing_behind(factory: Factory) -> None:
    path = recipe(factory, to=2000, pause=5)
    for number in range(1, 5):  # whoever is slow to ask finds them close to the next safe point
        process = factory.start(path)
        deadline = time.monotonic() + 60
        while log(factory).count("process 1 of 2") < number and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        asked = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        _, message = process.communicate(timeout=60)
        took = time.monotonic() - asked
        assert process.returncode == 130
        assert "stopped at a safe point" in message
        assert leftovers(factory) == []
        assert [run.status for run in factory.workspace.ledger.runs.list()] == ["interrupted"] * number
        (state,) = factory.folder.glob(".loresmith/work/*/state/count")
        assert 0 < int(state.read_text()) < 2000
        if took > 2:
            break
    assert took > 2, "or nothing is tried here"


@pytest.mark.slow
def test_a_request_to_stop_leaves_them_more_time_than_the_death_of_one_of_them(factory: Factory) -> None:
    process = factory.start(recipe(factory, to=2000, pause=SECONDS_ALONE + 5))
    deadline = time.monotonic() + 60
    while "process 1 of 2" not in log(factory) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, message = process.communicate(timeout=60)
    assert "stopped at a safe point" in message
    assert process.returncode == 130


def test_a_request_to_stop_that_comes_before_they_have_joined_one_another_ends_them_at_once(factory: Factory) -> None:
    process = factory.start(recipe(factory, to=2000, pause=5))
    deadline = time.monotonic() + 60
    while not any(" -m loresmith.factory.rank " in line for line in leftovers(factory)) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.8)  # they are importing what they need for that
    asked = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert time.monotonic() - asked < 25
    assert leftovers(factory) == []


def test_a_killed_factory_takes_all_of_them_with_it(factory: Factory) -> None:
    process = factory.start(recipe(factory, to=2000, pause=30))  # nothing that they say fails meanwhile
    deadline = time.monotonic() + 60
    while "process 1 of 2" not in log(factory) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while leftovers(factory) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert leftovers(factory) == []


SLURM = "compute: {nodes: 2, processes: 1, threads: 2, launcher: slurm, slurm: {partition: gpu}}"


def test_for_slurm_a_script_is_written_that_runs_the_same_plan(factory: Factory) -> None:
    path = recipe(factory, rest=SLURM)
    with pytest.raises(UserError, match="its script is written to") as caught:
        factory.workspace.run(path)
    (script,) = factory.folder.glob(".loresmith/slurm/*/run.sbatch")
    assert str(script) in caught.value.what
    assert f"sbatch {script}" in str(caught.value.hint)
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text()
    for line in ("--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=2", "--partition=gpu"):
        assert f"#SBATCH {line}\n" in text
    plan = factory.workspace.read_plan(script.with_name("plan.json"))
    assert plan.digest == factory.workspace.plan(path).digest
    assert f"run {script.with_name('plan.json')}" in text


SRUN = """#!/bin/bash
# Slurm's srun on a cluster of this machine alone: the command once for each node.
while [[ $1 == --* ]]; do [[ $1 == --nodes=* ]] && nodes=${1#--nodes=}; shift; done
for ((node = 0; node < nodes; node++)); do SLURM_NODEID=$node "$@" & done
status=0
for job in $(jobs -p); do wait "$job" || status=1; done
exit $status
"""


def test_in_a_slurm_job_torchrun_is_started_on_every_node(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text(SRUN)
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{srun.parent}:{os.environ['PATH']}")
    # Below the ports that the system gives to whoever asks for any: another test may have been given it.
    monkeypatch.setenv("SLURM_JOB_ID", str(os.getpid() % 12_000))
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    run = factory.workspace.run(recipe(factory, rest=SLURM))
    assert run.actions()["count"].environment["processes"] == 2
    assert "process 1 of 2, 2 threads" in log(factory)


def test_a_job_of_another_size_is_refused(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "3")
    with pytest.raises(UserError, match="has 3 nodes, and the plan is for 2"):
        factory.workspace.run(recipe(factory, rest=SLURM))


def test_words_of_the_commands_stay_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    request, events = tmp_path / "with space" / "request.json", tmp_path / "with space" / "events"
    command = SlurmLauncher(Compute(nodes=2, launcher="slurm")).command(request, events)
    echoed = subprocess.run(
        [*command[command.index("bash") : -1], command[-1].replace("exec ", "printf '%s\\n' ", 1)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "SLURM_NODEID": "1"},
    ).stdout.splitlines()
    assert echoed[-2:] == [str(request), str(events)]
    assert "--node-rank=1" in echoed


@pytest.mark.parametrize(
    ("compute", "said"),
    [
        ({"launcher": "ray", "processes": 2}, "`launcher: ray` divides documents and no model"),
        ({"nodes": 2}, "several nodes need `launcher: slurm`"),
        ({"slurm": {"partition": "gpu"}}, "the launcher is not slurm"),
        ({"processes": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused(compute: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Compute.model_validate(compute)


def test_what_is_on_record_is_enough_to_divide_a_step_so_again() -> None:
    for compute in (Compute(), Compute(processes=3), Compute(processes=2, tensor_parallel=2)):
        assert Compute.on_record({"threads": 2, **compute.division}) == compute
    cluster = Compute(nodes=2, processes=4, launcher="slurm", expert_parallel=8)
    assert Compute.on_record(cluster.division) == Compute(processes=8, expert_parallel=8)
