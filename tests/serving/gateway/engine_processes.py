"""The processes of a gateway's engines: held for a while, so that no answer ends meanwhile, and what they work."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from tests.serving.gateway.gateways import RunningGateway
from tests.serving.gateway.test_reload import engines


@contextmanager
def held(gateway: RunningGateway) -> Iterator[None]:
    """While no engine computes anything, however long that is."""
    processes = engines(gateway)
    try:
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        yield
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def processor_seconds(gateway: RunningGateway) -> float:
    """What the engines that it began with have used of processors so far: the same on a machine that is busy."""
    used = 0.0
    for number in engines(gateway):
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(number)
            if "--libraries" not in process.cmdline():  # else it was put in waiting, and may still be loading
                used += sum(process.cpu_times()[:2])
    return used
