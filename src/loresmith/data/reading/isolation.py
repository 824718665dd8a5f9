"""A reader's process gives up the network: what reads strangers' files has no business there.

Where the system lets it (Linux, with network or user namespaces for everybody), the process moves into a network of its
own that has nothing in it; that holds for native libraries, too. Where it does not, Python's own ways out are shut: the
sockets, and starting another program, which would have none of this. Native code could still open a socket then.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

SHUT_OFF = "no network"
"""What is said where the system has shut it off."""

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_WAYS_OUT = ("socket.", "subprocess.", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.system", "pty.")


def leave_the_network(unshare: Callable[[int], int] | None = None) -> str:
    """Give up the network for good; returns `SHUT_OFF`, or why only Python's ways to it are shut.

    Args:
        unshare: asks the system for namespaces of this process's own; returns 0 or an error's number.
    """
    asked = unshare or _unshare
    if asked(_CLONE_NEWNET) == 0:
        return SHUT_OFF
    refused = asked(_CLONE_NEWUSER | _CLONE_NEWNET)
    if refused == 0:
        return SHUT_OFF
    sys.addaudithook(_without_ways_out)
    return f"network not shut off: {os.strerror(refused)}; Python's ways to it are"


def _unshare(flags: int) -> int:
    if sys.platform != "linux":
        return errno.ENOSYS
    try:
        unshare = ctypes.CDLL(None, use_errno=True).unshare
    except AttributeError:
        return errno.ENOSYS
    return 0 if unshare(flags) == 0 else ctypes.get_errno()


def _without_ways_out(event: str, _arguments: object) -> None:
    """For `sys.addaudithook`, which cannot be taken back."""
    if event.startswith(_WAYS_OUT):
        _refuse(event)


def _refuse(event: str) -> NoReturn:
    raise PermissionError(errno.EACCES, f"a reader of files may not use {event}")
