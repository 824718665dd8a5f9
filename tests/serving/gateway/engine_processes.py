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
    """What its engines have used of processors so far. Other than time, it is the same on a machine that is busy."""
    return sum(sum(psutil.Process(process).cpu_times()[:2]) for process in engines(gateway))
