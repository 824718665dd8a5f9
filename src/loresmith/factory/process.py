"""A step's process, as the factory sees it: started, listened to, asked to stop, and ended if it does not."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from loresmith.errors import Failure, UserError
from loresmith.factory.compute import Compute
from loresmith.factory.events import EventReader
from loresmith.factory.step import InputAsset
from loresmith.factory.stopping import StopRequest

STOP_GRACE_SECONDS = 3.5
"""A step that has not reached a safe point this long after it was asked to is ended; its last checkpoint stays."""


def step_request(
    name: str,
    step: str,
    config: Mapping[str, Any],
    seed: int,
    threads: int,
    work: Path,
    inputs: Mapping[str, InputAsset],
    compute: Compute,
) -> dict[str, Any]:
    """What a worker is told: which step, under which name, with what, and where it works."""
    return {
        "name": name,
        "step": step,
        "config": dict(config),
        "seed": seed,
        "threads": threads,
        "compute": compute.model_dump(mode="json"),
        "action": str(work),
        "inputs": {
            role: {
                "digest": asset.digest,
                "kind": asset.kind,
                "directory": str(asset.directory),
                "metadata": dict(asset.metadata),
                "labels": list(asset.labels),
            }
            for role, asset in inputs.items()
        },
        "parent": os.getpid(),
    }


class StepProcess:
    """One worker process: `follow` it to its end, or iterate over its `events` and read its `status`."""

    def __init__(self, request: dict[str, Any], request_path: Path, log_path: Path) -> None:
        """Start the worker.

        Args:
            request: what the worker is to do; written to `request_path`.
            log_path: where its standard output and error go.
        """
        request_path.write_text(json.dumps(request), encoding="utf-8")
        self._read_end, write_end = os.pipe()
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "loresmith.factory.worker", str(request_path), str(write_end)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[write_end],
                env=_quiet_environment(request["threads"]),
            )
        os.close(write_end)
        os.set_blocking(self._read_end, False)
        self._asked_at: float | None = None
        self.log_path = log_path

    @property
    def pid(self) -> int:
        return self._process.pid

    def events(self, tick: float = 0.5) -> Iterator[dict[str, Any] | None]:
        """The worker's events as they come, and None at least every `tick` seconds; ends with the process."""
        reader = EventReader()
        with selectors.DefaultSelector() as selector:
            selector.register(self._read_end, selectors.EVENT_READ)
            while True:
                if self._asked_at is not None and time.monotonic() - self._asked_at > STOP_GRACE_SECONDS:
                    self._process.kill()
                if selector.select(timeout=tick):
                    data = os.read(self._read_end, 1 << 16)
                    if not data:
                        break
                    yield from reader.feed(data)
                elif self._process.poll() is not None:
                    break  # all is read, and the pipe is open still: the process left a child behind that holds it
                yield None
        self._process.wait()

    def follow(
        self, name: str, stop: StopRequest, tick: Callable[[], None], take: Callable[[Mapping[str, Any]], None]
    ) -> dict[str, Any]:
        """Follow the step to its end; returns the event with which it finished.

        Args:
            name: the step's, for messages.
            stop: once it is set, the step is asked to stop.
            tick: called at least twice a second.
            take: called with every event but those that end the step.

        Raises:
            UserError, Failure: it refused or failed.
            Interrupted: it stopped because it was asked to.
        """
        finished = failed = None
        was_stopped = False
        for event in self.events():
            if stop:
                self.ask_to_stop()
            tick()
            if event is None:
                continue
            match event["event"]:
                case "finished":
                    finished = event
                case "failed":
                    failed = event
                case "stopped":
                    was_stopped = True
                case _:
                    take(event)
        if finished is not None:  # an abort while the interpreter goes down does not undo finished work
            return finished
        if was_stopped or stop:
            stop.set()
            stop.check()
        if failed is not None:
            kind = UserError if failed["status"] == UserError.exit_status else Failure
            raise kind(
                failed["what"],
                where=failed["where"] or f"step {name!r}",
                hint=failed["hint"] if failed["hint"] != "see the log" else f"its log: {self.log_path}",
            )
        raise Failure(self.cause_of_death(), where=f"step {name!r}", hint=f"its log: {self.log_path}")

    def ask_to_stop(self) -> None:
        """Ask for a stop at the next safe point; only the first call starts the clock."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            self._process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """End the process if it is still there, and free what it held."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._read_end)

    @property
    def status(self) -> int:
        """Exit status; negative for the signal that ended it."""
        return self._process.wait()

    def cause_of_death(self) -> str:
        """One line on why the process ended without saying so itself."""
        status = self.status
        if status >= 0:
            return f"the step's process ended with status {status} without a word{self._last_words()}"
        name = signal.Signals(-status).name
        likely = "; the usual cause is that the machine ran out of memory" if name == "SIGKILL" else ""
        return f"the step's process was ended by {name}{likely}{self._last_words()}"

    def _last_words(self) -> str:
        with self.log_path.open("rb") as log:
            log.seek(max(0, self.log_path.stat().st_size - 4096))
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
        return f" (last line of its log: {lines[-1][:200]})" if lines else ""


def _quiet_environment(threads: int) -> dict[str, str]:
    """The worker's environment: as many threads as allowed, no telemetry, no hub."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        # Threads that spin for long while they wait take the time of the one they wait for, as soon as anything else
        # wants a core; threads that never spin lose a quarter on an idle machine (benchmarks/waiting_threads.py).
        "GOMP_SPINCOUNT": "1000",
        "RAYON_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
    }
