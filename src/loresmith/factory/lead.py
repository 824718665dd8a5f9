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
from loresmith.factory.events import EventReader, EventWriter
from loresmith.factory.launcher import launcher_of
from loresmith.factory.rank import LOCK

PIPE = "events.pipe"


def lead(request: dict[str, Any], request_path: Path, compute: Compute, events: EventWriter) -> int:
    """Have a step carried out by several processes; returns the exit status.

    What finishes the step is passed on when all have ended. An abort in one of them after that does not undo it.

    Raises:
        Failure: it failed in one of them, or one of them was ended.
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
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGTERM))
    said = _Said(events, compute)
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
    return said.outcome()


class _Said:
    """What the processes have said."""

    def __init__(self, events: EventWriter, compute: Compute) -> None:
        self._events = events
        self._world = compute.ranks
        self._division = compute.division
        self._finished: dict[str, Any] | None = None
        self._stopped = False
        self._failed: dict[int, dict[str, Any]] = {}
        self._peaks: dict[int, int] = {}

    def take(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "finished":
                self._finished = event
            case "rank-finished":
                self._peaks[event["rank"]] = event["peak_bytes"]
            case "stopped":
                self._stopped = True
            case "failed":
                self._failed[event["rank"]] = event
            case _:
                self._events.pass_on(event)

    def outcome(self) -> int:
        """Say how it ended; the exit status."""
        if self._finished is not None:
            environment = {**self._finished["environment"], **self._division}
            peak = sum(self._peaks.values())
            self._events.pass_on({**self._finished, "peak_bytes": peak, "environment": environment})
            return 0
        if self._stopped:
            self._events.send("stopped")
            return Interrupted.exit_status
        # Where one refuses, fails or is ended, the others fail as well, in whatever they were waiting for it.
        silent = sorted(set(range(self._world)) - self._failed.keys() - self._peaks.keys())
        causes = sorted(self._failed.values(), key=lambda event: (event["defect"], event["at"]))
        if causes and not (causes[0]["defect"] and silent):
            self._events.pass_on(causes[0])
            return int(causes[0]["status"])
        which = ", ".join(str(rank + 1) for rank in silent)
        raise Failure(
            f"of the step's {self._world} processes, number {which} ended without a word; the usual cause is that the "
            "machine ran out of memory",
            hint="see the log",
        )
