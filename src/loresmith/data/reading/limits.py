"""How much time and memory reading one file may take."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """Of one file.

    Attributes:
        seconds: of the processor's time; ten times as long by the clock, since a busy machine is no fault of a file's.
        memory_bytes: beyond what the worker itself takes.
        depth: files inside files inside files, at most so deep.
    """

    seconds: float = 60.0
    memory_bytes: int = 2 << 30
    depth: int = 4

    @property
    def clock_seconds(self) -> float:
        return 10 * self.seconds


def limit_memory(memory_bytes: int) -> None:
    """Let this process take so much more memory than it has now; beyond that allocations fail."""
    kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    _, hard = resource.getrlimit(kind)
    wanted = _taken() + memory_bytes
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(kind, (wanted, hard))


def limit_seconds(seconds: float) -> None:
    """Let this process run for so many more seconds of the processor's time; then it is ended by SIGXCPU."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = int(usage.ru_utime + usage.ru_stime + seconds) + 1  # in whole seconds
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _taken() -> int:
    """Bytes that count against the limit: on Linux private writable memory, elsewhere an estimate."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 4 << 30
