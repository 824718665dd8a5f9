"""Folders that are either whole or not there, whenever the process that makes them is killed."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

_PART = ".part"


def once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Make a folder, unless it was made before.

    It is written under another name, flushed to the disk and then renamed. Two processes may be at the same one: the
    first to finish decides.

    Args:
        folder: where the result lies; its parent is made.
        make: fills the empty folder that it is given. The same folder must come of it every time.

    Returns:
        `folder`.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left_behind in folder.parent.glob(f".{folder.name}.*{_PART}"):
        shutil.rmtree(left_behind, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=_PART, dir=folder.parent))
    try:
        make(unfinished)
        _flush(unfinished)
        unfinished.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not folder.is_dir():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    _sync(folder.parent)
    return folder


def _flush(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        if not path.is_symlink():
            _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
