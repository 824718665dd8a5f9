"""The process that runs one step: `python -m loresmith.factory.worker REQUEST EVENTS_DESCRIPTOR`.

It reads what to do from REQUEST, writes outputs into folders, and says what happens on the events pipe. It never
touches the ledger, so that nothing that happens here can harm it.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import shutil
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from loresmith.errors import Failure, Interrupted, LoresmithError, os_failure
from loresmith.factory.environment import computing_environment
from loresmith.factory.events import EventWriter
from loresmith.factory.registry import find_step
from loresmith.factory.step import InputAsset, Result

_PR_SET_PDEATHSIG = 1
_PROGRESS_INTERVAL = 0.2


class WorkerContext:
    """The StepContext of a step that runs in this process."""

    def __init__(self, action: Path, seed: int, threads: int, events: EventWriter) -> None:
        self._action = action
        self._events = events
        self._stop = threading.Event()
        self._last_progress = 0.0
        self.seed = seed
        self.threads = threads

    @property
    def work(self) -> Path:
        state = self._action / "state"
        state.mkdir(parents=True, exist_ok=True)
        return state

    def output(self, role: str) -> Path:
        directory = self._action / "outputs" / role
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def progress(self, done: float, total: float | None, unit: str, /, **numbers: float) -> None:
        moment = time.monotonic()
        if moment - self._last_progress < _PROGRESS_INTERVAL and done != total:
            return
        self._last_progress = moment
        self._events.send("progress", done=done, total=total, unit=unit, numbers=numbers)

    def metric(self, name: str, value: float, position: float) -> None:
        self._events.send("metric", name=name, value=float(value), position=float(position))

    def log(self, message: str) -> None:
        self._events.send("log", message=message)

    def checkpoint(self, directory: Path, position: float) -> None:
        self._events.send("checkpoint", path=str(directory.relative_to(self._action)), position=float(position))

    def request_stop(self) -> None:
        self._stop.set()

    def stop_requested(self) -> bool:
        return self._stop.is_set()

    def stopped(self) -> None:
        raise Interrupted("the step stopped at a safe point")


def _die_with(parent: int) -> None:
    """End this process when the factory that started it is gone, however it went."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


def _described(result: Result) -> dict[str, Any]:
    return {
        "outputs": {
            role: {"directory": str(made.directory), "metadata": dict(made.metadata), "labels": list(made.labels)}
            for role, made in result.outputs.items()
        },
        "books": result.books.model_dump(mode="json"),
        "checks": [
            {"output": check.output, "kind": check.kind, "passed": check.passed, "evidence": dict(check.evidence)}
            for check in result.checks
        ],
    }


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _run(request: dict[str, Any], events: EventWriter) -> int:
    action = Path(request["action"])
    lock = (action / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)  # an orphan of a killed factory may take a moment to go
    shutil.rmtree(action / "outputs", ignore_errors=True)

    context = WorkerContext(action, request["seed"], request["threads"], events)
    signal.signal(signal.SIGTERM, lambda *_: context.request_stop())
    step = find_step(request["step"])
    config = step.config.model_validate(request["config"])
    inputs = {
        role: InputAsset(
            digest=given["digest"],
            kind=given["kind"],
            directory=Path(given["directory"]),
            metadata=given["metadata"],
            labels=tuple(given["labels"]),
        )
        for role, given in request["inputs"].items()
    }
    started = time.monotonic()
    result = step.run(context, config, inputs)
    promised = set(step.outputs_of(config))
    if promised != set(result.outputs):
        made = ", ".join(result.outputs) or "no output"
        raise AssertionError(f"the step {step.name!r} returned {made} where it promised {', '.join(promised)}")
    seconds, peak_bytes = time.monotonic() - started, _peak_bytes()
    said = {"seconds": seconds, "peak_bytes": peak_bytes, "environment": computing_environment()}
    events.send("finished", **said, **_described(result))
    return 0


def main(arguments: list[str]) -> int:
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    events = EventWriter(int(arguments[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the factory decides; Ctrl-C reaches the whole terminal group
    _die_with(request["parent"])
    try:
        return _run(request, events)
    except Interrupted:
        events.send("stopped")
        return Interrupted.exit_status
    except LoresmithError as error:
        return _failed(events, error)
    except OSError as error:
        return _failed(events, os_failure(error, where=f"step {request['name']!r}"))
    except MemoryError:
        return _failed(events, Failure("the step ran out of memory"))
    except Exception as error:  # noqa: BLE001 - the last place where a defect of a step can be told from a crash
        return _failed(events, Failure(f"{type(error).__name__}: {error}", hint="see the log"))


def _failed(events: EventWriter, error: LoresmithError) -> int:
    """Tell the factory first, then the log, which may be on the disk that is full."""
    events.send("failed", what=error.what, where=error.where, hint=error.hint, status=error.exit_status)
    with suppress(OSError):
        traceback.print_exc()
    return error.exit_status


if __name__ == "__main__":
    status = main(sys.argv[1:])
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    # Native libraries sometimes abort while the interpreter tears down, after all the work is done and reported.
    os._exit(status)
