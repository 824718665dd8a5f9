"""The process that runs one step: `python -m loresmith.factory.worker REQUEST EVENTS_DESCRIPTOR`.

It reads what to do from REQUEST, writes outputs into folders, and says what happens on the events pipe. It never
touches the ledger, so that nothing that happens here can harm it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from loresmith.errors import Failure, Interrupted, LoresmithError, os_failure
from loresmith.factory.choices import made_choices
from loresmith.factory.compute import Compute
from loresmith.factory.context import WorkerContext
from loresmith.factory.environment import computing_environment
from loresmith.factory.events import EventWriter
from loresmith.factory.lead import lead
from loresmith.factory.registry import find_step
from loresmith.factory.work import described, inputs_of, peak_bytes
from loresmith.parent_process import die_with


def _run(request: dict[str, Any], request_path: Path, events: EventWriter) -> int:
    action = Path(request["action"])
    lock = (action / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)  # an orphan of a killed factory may take a moment to go
    shutil.rmtree(action / "outputs", ignore_errors=True)

    step = find_step(request["step"])
    compute = Compute.model_validate(request["compute"])
    if step.join is not None and compute.ranks > 1:
        return lead(request, request_path, compute, events)
    context = WorkerContext.of(request, request["threads"], events)
    signal.signal(signal.SIGTERM, lambda *_: context.request_stop())
    config = step.config.model_validate(request["config"])
    started = time.monotonic()
    result = step.run(context, config, inputs_of(request))
    seconds, peak = time.monotonic() - started, peak_bytes()
    environment = {**computing_environment(), **Compute().division, **made_choices(context.work)}
    said = {"seconds": seconds, "peak_bytes": peak, "environment": environment}
    events.send("finished", **said, **described(step, config, result))
    return 0


def main(arguments: list[str]) -> int:
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    events = EventWriter(int(arguments[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the factory decides; Ctrl-C reaches the whole terminal group
    die_with(request["parent"])
    try:
        return _run(request, Path(arguments[0]), events)
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
