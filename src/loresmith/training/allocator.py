"""Memory that the C library keeps instead of giving back."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Have glibc reuse freed blocks of any size rather than return them to the system.

    A training step frees and allocates the same tens of megabytes over and over; by default each comes as fresh pages
    that the system must clear, which took a fifth to a third of a step on the CPU (docs/log.md). The process holds on
    to the most memory it ever needed until it ends, so this is for a process that trains and nothing else.

    Returns:
        Whether the C library took it; only glibc does.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1) and mallopt(_M_TOP_PAD, 2**26))
