"""The process that leads a step of several: it starts them, listens to all, and speaks for them to the factory."""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import subprocess
from pathlib import Path
from typing import Any

from loresmith.errors import Failure, Interrupted
from loresmith.factory.compute import Compute
from loresmith.factory.death import ending, likely_cause, was_killed
from loresmith.factory.events import EventReader, EventWriter
from loresmith.factory.launcher import ASKED_TO_STOP, launcher_of
from loresmith.factory.rank import LOCK

PIPE = "events.pipe"


def lead(request: dict[str, Any], request_path: Path, compute: Compute, events: EventWriter) -> int:
    """Have a step carried out by several processes; returns the exit status.

    What finishes the step is passed on when all have ended. An abort in one of them after that does not undo it.

    Raises:
        Failure: one of them crashed.
    """
    action = Path(request["action"])
    with (action / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # those of a killed factory may take a moment to go
    pipe = action / PIPE
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    # Held open, so that there is no end of it before the last process has ended.
    held = os.open(pipe, os.O_WRONLY)
    share = str(max(1, request["threads"] // compute.processes))
    command = launcher_of(compute).command(request_path, pipe)
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": share, "RAYON_NUM_THREADS": share}
    )
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(ASKED_TO_STOP))
    said = Said(events, compute)
    reader = EventReader()
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(reading, selectors.EVENT_READ)
            ended = False
            while True:
                if selector.select(timeout=0 if ended else 0.1):
                    for event in reader.feed(os.read(reading, 1 << 16)):
                        said.take(event)
                elif ended:
                    break
                ended = process.poll() is not None
    finally:
        os.close(held)
        os.close(reading)
        pipe.unlink()
    return said.outcome(process.returncode)


class Said:
    """What the processes have said, and torchrun of those that could say nothing."""

    def __init__(self, events: EventWriter, compute: Compute) -> None:
        self._events = events
        self._world = compute.ranks
        self._division = compute.division
        self._finished: dict[str, Any] | None = None
        self._stopped = False
        self._failed: dict[int, dict[str, Any]] = {}
        self._peaks: dict[int, int] = {}
        self._gave_up: set[int] = set()
        self._statuses: dict[int, int] = {}
        self._began = False

    def take(self, event: dict[str, Any]) -> None:
        self._began = True
        match event["event"]:
            case "finished":
                self._finished = event
            case "rank-finished":
                self._peaks[event["rank"]] = event["peak_bytes"]
            case "stopped":
                self._stopped = True
            case "failed":
                self._failed[event["rank"]] = event
            case "gave-up":
                self._gave_up.add(event["rank"])
            case "ranks-ended":
                self._statuses = {int(rank): status for rank, status in event["statuses"].items()}
                self._gave_up |= set(event["others"])
            case _:
                self._events.pass_on(event)

    def outcome(self, status: int) -> int:
        """Say how it ended; the exit status.

        Args:
            status: that of torchrun.

        Raises:
            Failure: a process crashed, or none was ever started.
        """
        if not self._began and not was_killed(status):
            raise Failure(
                f"the {self._world} processes of the step could not be started",
                hint="the log has the reason; they meet over the network, on one machine over its loopback device, "
                "which must be up (`ip link set lo up`)",
            )
        if self._finished is not None:
            environment = {**self._finished["environment"], **self._division}
            peak = sum(self._peaks.values())
            self._events.pass_on({**self._finished, "peak_bytes": peak, "environment": environment})
            return 0
        if self._stopped:
            self._events.send("stopped")
            return Interrupted.exit_status
        dead = self._dead()
        causes = sorted(self._failed.values(), key=lambda event: (event["defect"], event["at"]))
        # Where one refuses, fails or is ended, the others fail as well, in whatever they were waiting for it.
        if causes and not (causes[0]["defect"] and dead):
            self._events.pass_on(causes[0])
            return int(causes[0]["status"])
        each = ", ".join(f"number {rank + 1} {ending(status)}" for rank, status in dead.items())
        likely = next(filter(None, map(likely_cause, dead.values())), "")
        what = f"of the step's {self._world} processes, {each}{likely}"
        if not all(map(was_killed, dead.values())):
            raise Failure(what, hint="see the log")
        self._events.send("killed", what=what)
        return Interrupted.exit_status

    def _dead(self) -> dict[int, int | None]:
        """The processes that died without a word, with their exit statuses where those are known.

        If some were killed and others crashed, it is those that were killed: the others missed them.
        """
        signalled = {rank for rank, status in self._statuses.items() if status < 0}
        said = self._failed.keys() | self._peaks.keys() | self._gave_up
        dead = sorted((signalled | (set(range(self._world)) - said)) - self._failed.keys())
        if not dead and not self._failed:  # all gave up, each for the others
            dead = list(range(self._world))
        known = {rank: self._statuses[rank] for rank in dead if rank in self._statuses}
        killed = {rank: status for rank, status in known.items() if was_killed(status)}
        return {**(killed or known)} or dict.fromkeys(dead)
