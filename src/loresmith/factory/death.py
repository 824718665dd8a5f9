"""How a process ended that did not say so itself, from its exit status: killed, or crashed.

Who is killed did nothing wrong, and goes on at the next start: its run is interrupted. Who crashes would crash again:
its step has failed.
"""

from __future__ import annotations

import signal

_CRASHES = ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP")
"""The signals that a process gets for what it does itself."""


def was_killed(status: int | None) -> bool:
    """Whether a process was ended from outside.

    Args:
        status: as `subprocess` has it, negative for a signal; None where nobody knows it, as of a process on another
            machine, which most likely was.
    """
    return status is None or (status < 0 and _name(status) not in _CRASHES)


def ending(status: int | None) -> str:
    """How it ended, as the end of a sentence: `was ended by SIGKILL`."""
    if status is None:
        return "ended without a word"
    return f"ended with status {status} without a word" if status >= 0 else f"was ended by {_name(status)}"


def likely_cause(status: int | None) -> str:
    """What usually ends processes so, to put behind the sentence; empty where that cannot be said."""
    return "; the usual cause is that the machine ran out of memory" if status in (None, -signal.SIGKILL) else ""


def _name(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
