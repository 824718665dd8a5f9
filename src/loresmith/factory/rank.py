"""One of the processes that carry out a step together: `python -m loresmith.factory.rank REQUEST EVENTS`.

torchrun starts it; `loresmith.factory.lead` has started torchrun, and listens at the named pipe EVENTS.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from loresmith.errors import Failure, Interrupted, LoresmithError, os_failure
from loresmith.factory.choices import made_choices
from loresmith.factory.compute import Compute
from loresmith.factory.context import WorkerContext
from loresmith.factory.environment import computing_environment
from loresmith.factory.events import EventWriter, NoEvents, writer_to
from loresmith.factory.launcher import ASKED_TO_STOP, SECONDS_ALONE, SECONDS_TO_END, seconds_to_stop
from loresmith.factory.registry import find_step
from loresmith.factory.work import described, inputs_of, peak_bytes
from loresmith.parent_process import die_with

LOCK = "ranks.lock"
"""Held by every process of a step, so that a new start can wait for those of the last one to be gone."""


def main(arguments: list[str]) -> int:
    rank = int(os.environ["RANK"])
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(os.getppid())
    events = writer_to(arguments[1])
    try:
        return _run(request, rank, events)
    except Interrupted:
        events.send("stopped", rank=rank)
        return Interrupted.exit_status
    except LoresmithError as error:
        return _failed(events, rank, error)
    except OSError as error:
        return _failed(events, rank, os_failure(error, where=f"step {request['name']!r}"))
    except MemoryError:
        return _failed(events, rank, Failure("the step ran out of memory"))
    except Exception as error:  # noqa: BLE001 - the last place where a defect of a step can be told from a crash
        return _failed(events, rank, Failure(f"{type(error).__name__}: {error}", hint="see the log"), defect=True)


def _run(request: dict[str, Any], rank: int, events: EventWriter | NoEvents) -> int:
    action = Path(request["action"])
    lock = (action / LOCK).open("w")
    fcntl.flock(lock, fcntl.LOCK_SH)
    # The first writes where one process alone would; what the others write, nobody looks at.
    folder = action if rank == 0 else action / "ranks" / str(rank)
    threads = max(1, request["threads"] // int(os.environ["LOCAL_WORLD_SIZE"]))
    own_events = events if rank == 0 else NoEvents()
    compute = Compute.model_validate(request["compute"])
    division = (compute.tensor_parallel, compute.expert_parallel)
    context = WorkerContext.of(request, threads, own_events, *division, action=folder)
    stopping = _Stopping(context, events, rank, compute)
    step = find_step(request["step"])
    assert step.join is not None
    config = step.config.model_validate(request["config"])
    started = time.monotonic()
    with step.join():
        stopping.joined = True
        result = step.run(context, config, inputs_of(request))
        # Each says so before they wait for one another: what comes after is the first one's alone.
        events.send("rank-finished", rank=rank, peak_bytes=peak_bytes())
    if rank == 0:
        environment = {**computing_environment(), **made_choices(context.work)}
        said = {"seconds": time.monotonic() - started, "environment": environment}
        events.send("finished", **said, **described(step, config, result))
    return 0


class _Stopping:
    """Takes the signals that this process is to stop, and ends it if it does not.

    They are taken up by a thread: the main one may be waiting, deep in a library, for a process that is gone, and
    then it never comes to run a signal's handler.

    Attributes:
        joined: whether this process has joined the others; before, there is nothing to save, and it ends at once.
    """

    def __init__(self, context: WorkerContext, events: EventWriter | NoEvents, rank: int, compute: Compute) -> None:
        self.joined = False
        self._context = context
        self._events = events
        self._rank = rank
        self._patience = seconds_to_stop(compute) + SECONDS_TO_END
        self._read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end)
        for number in (ASKED_TO_STOP, signal.SIGTERM):
            signal.signal(number, _leave_it_to_the_thread)
        threading.Thread(target=self._wait, daemon=True, name="stop-watch").start()

    def _wait(self) -> None:
        (number,) = os.read(self._read_end, 1)
        asked = number == ASKED_TO_STOP
        if self.joined:
            self._context.request_stop()
            time.sleep(self._patience if asked else SECONDS_ALONE)
        # Of one that another one's death has left alone that death is worth telling, not its own.
        self._events.send("stopped" if asked and not self.joined else "gave-up", rank=self._rank)
        os._exit(1)


def _leave_it_to_the_thread(_number: int, _frame: FrameType | None) -> None:
    pass


def _failed(events: EventWriter | NoEvents, rank: int, error: LoresmithError, defect: bool = False) -> int:
    """Tell the factory first, then the log, which may be on the disk that is full."""
    said = {"what": error.what, "where": error.where, "hint": error.hint, "status": error.exit_status}
    events.send("failed", rank=rank, defect=defect, **said)
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
