from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from loresmith.data.engine.local_engine import local_engine
from loresmith.errors import Failure, UserError
from tests.data.engine import work_for_workers as work


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_items(workers: int, tmp_path: Path) -> None:
    with local_engine(workers, 1 << 30, tmp_path) as engine:
        assert list(engine.map(work.square, range(20))) == [number * number for number in range(20)]
        assert list(engine.map(work.square, [])) == []


def test_each_worker_has_one_thread_and_none_is_left(tmp_path: Path) -> None:
    with local_engine(2, 1 << 30, tmp_path) as engine:
        found = dict(engine.map(work.threads, range(40)))
    assert os.getpid() not in found
    assert set(found.values()) == {"1"}
    assert not any(psutil.pid_exists(process) for process in found)


def test_a_worker_that_dies_is_named_with_what_it_was_at(tmp_path: Path) -> None:
    with local_engine(2, 1 << 30, tmp_path) as engine:
        found = engine.map(work.die, range(8))
        assert [next(found) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(Failure, match=r"^3: a worker process ended \(signal 9\)\n.*threads"):
            next(found)
        assert list(engine.map(work.square, range(3))) == [0, 1, 4]  # the pool goes on


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_exception_is_raised_here(workers: int, tmp_path: Path) -> None:
    with local_engine(workers, 1 << 30, tmp_path) as engine:
        with pytest.raises(UserError, match=r"^here: 2 is too much\n  take less$"):
            list(engine.map(work.refuse, range(9)))
        with pytest.raises(ZeroDivisionError):
            list(engine.map(work.break_down, [1, 0]))


def test_whoever_waits_may_leave(tmp_path: Path) -> None:
    """Where a stop is asked for, nothing is waited for, and what was under way is not given to the next."""

    def leave() -> None:
        raise KeyboardInterrupt

    with local_engine(2, 1 << 30, tmp_path) as engine:
        with pytest.raises(KeyboardInterrupt):
            list(engine.map(time.sleep, [60, 60], leave))
        began = time.monotonic()
        assert list(engine.map(work.square, range(3))) == [0, 1, 4]
    assert time.monotonic() - began < 30


def test_workers_end_with_the_process_that_started_them_whatever_they_are_at(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from loresmith.data.engine.local_engine import local_engine
with local_engine(2, 1 << 30, Path(sys.argv[1])) as engine:
    list(engine.map(time.sleep, [0, 0, 600, 600], lambda: print("waiting", flush=True)))
"""
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(8):
            process.stdout.readline()
        workers = psutil.Process(process.pid).children()
        process.kill()
    gone, left = psutil.wait_procs(workers, timeout=60)
    assert (len(gone), left) == (2, [])


def folders(where: Path) -> dict[str, list[str]]:
    return {
        folder.name: sorted(file.name for file in folder.iterdir())
        for folder in where.glob("made-*")
    }  # fmt: skip


def test_killed_at_any_time_it_goes_on_with_what_is_finished(tmp_path: Path) -> None:
    whole = {f"made-{number}": ["one", "two"] for number in range(8)}
    script = "import pathlib, sys, tests.data.engine.work_for_workers as work; work.main(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", script, str(tmp_path)]
    for _ in range(5):  # whoever was late to kill finds all of it made, and begins anew
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline() == "1\n"
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
        _, left = psutil.wait_procs(workers, timeout=60)
        assert not [worker for worker in left if worker.status() != psutil.STATUS_ZOMBIE]
        found = folders(tmp_path)
        if len(found) < 8:
            break
    assert len(workers) == 2
    assert 3 <= len(found) < 8
    assert found.items() <= whole.items()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout.split().count("0") == len(found)
    assert folders(tmp_path) == whole
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]
