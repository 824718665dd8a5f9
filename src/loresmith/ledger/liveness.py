"""Is a process still there? Its number alone does not say: the system gives it to another one later."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """One process of one machine.

    Attributes:
        host: the machine's name.
        pid: its number there.
        started: when it started, as the system counts (empty where the system does not tell).
    """

    host: str
    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has this number on this machine now."""
        return cls(host=this_host(), pid=pid, started=start_time(pid) or "")

    @classmethod
    def current(cls) -> Process:
        """The calling process."""
        return cls.of(os.getpid())

    @property
    def is_here(self) -> bool:
        """Whether it belongs to this machine, so that `is_alive` can tell."""
        return self.host == this_host()

    def is_alive(self) -> bool:
        """Whether a process of this machine still runs: the number exists and belongs to the same start."""
        if not _exists(self.pid):
            return False
        now = start_time(self.pid)
        return now is None or not self.started or now == self.started


def this_host() -> str:
    """The name of this machine."""
    return socket.gethostname()


def start_time(pid: int) -> str | None:
    """Clock ticks between the machine's start and the process's, from /proc; None where there is no /proc or process.

    A zombie has ended, whatever its entry says: it gives None as well.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # The second field is the program's name in brackets, and may itself hold brackets and spaces.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _exists(pid: int) -> bool:
    if pid <= 0:
        return False
    if Path("/proc/self/stat").exists():
        return start_time(pid) is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
