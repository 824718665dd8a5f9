"""Copies that share their storage until one of them changes, on the file systems that can (btrfs, XFS, bcachefs)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# FICLONE of linux/fs.h: _IOW(0x94, 9, int).
_FICLONE = 0x40049409


def reflink(source: Path, target: Path) -> bool:
    """Make `target`, a new file, share the storage of `source`. Where that cannot be done: False, and none is left.

    Raises OSError when the target exists or cannot be made.
    """
    if not sys.platform.startswith("linux"):
        return False
    import fcntl

    made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with open(source, "rb") as read:
            fcntl.ioctl(made, _FICLONE, read.fileno())
    except OSError:
        # Whatever the reason (another file system, no support, a full disk), the caller's next way tells it better.
        target.unlink()
        return False
    finally:
        os.close(made)
    return True
