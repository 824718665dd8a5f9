"""A process is alive while it runs; neither its number nor its corpse is."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

import pytest

from loresmith.ledger.liveness import Process, start_time, this_host
from tests.ledger.processes import Child


def sleep_under_an_odd_name() -> None:
    if sys.platform.startswith("linux"):
        set_name = 15
        ctypes.CDLL(None).prctl(set_name, b"a) R 1 (b c", 0, 0, 0)
    time.sleep(60)


def test_a_process_is_alive_until_it_ends_whatever_it_calls_itself() -> None:
    child = Child(sleep_under_an_odd_name)
    process = Process.of(child.pid)
    assert process.is_here
    assert process.is_alive()
    child.kill()
    assert not process.is_alive()


def test_this_process_is_alive_and_always_the_same() -> None:
    assert Process.current() == Process.of(os.getpid())
    assert Process.current().is_alive()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only /proc tells when a process started")
def test_a_number_that_was_given_away_is_not_the_process() -> None:
    now = Process.current()
    assert not Process(now.host, now.pid, started=str(int(now.started) - 1)).is_alive()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only /proc tells a corpse from the living")
def test_a_process_that_nobody_has_buried_is_dead() -> None:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    process = Process.of(pid)
    assert process.is_alive()
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert not process.is_alive()
    os.waitpid(pid, 0)


def test_a_number_that_nobody_has_is_dead() -> None:
    for pid in (0, -1, 2**31 - 1):
        assert start_time(pid) is None
        assert not Process(this_host(), pid, "").is_alive()


def test_a_process_of_another_machine_is_not_here() -> None:
    assert not Process("elsewhere", os.getpid(), "").is_here
