"""Disks on which something goes wrong. Each function changes the calling process: use it in a child only."""

from __future__ import annotations

import ctypes
import os
import resource
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18
_NOBODY = 65534


def small_disk(folder: Path, megabytes: int) -> None:
    """From here on `folder` is a small disk.

    Where the system lets nobody mount one, no file may grow beyond that size instead, which fails in the same places.
    """
    if not mounted_disk(folder, megabytes):
        short_files(megabytes)


def mounted_disk(folder: Path, megabytes: int) -> bool:
    """From here on `folder` is a small disk; whether one may be mounted here."""
    library = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if library.unshare(_CLONE_NEWNS | (0 if user == 0 else _CLONE_NEWUSER)) == 0:
        if user != 0:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {user} 1")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        library.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
        options = f"size={megabytes}m".encode()
        return bool(library.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options) == 0)
    return False


def short_files(megabytes: int | None) -> None:
    """From here on no file may grow beyond that size; None: as far as there is room."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if megabytes is None else megabytes << 20, hard))


def powerless() -> None:
    """From here on the modes of files are obeyed also where the tests run as root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
