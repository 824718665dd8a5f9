"""How large a cache of files may grow: what was not used for longest goes first.

A file's modification time says when it was last used. Any number of processes may be at a cache at once: what one of
them that still runs has used is not removed from under it. Which ones run is known by locks, which end with their
process.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

LONGEST_UNUSED_SECONDS = 30 * 24 * 3600


class InUse:
    """Says to other processes that this one is at a cache. A context manager.

    Args:
        folder: of such notes, beside what is cached; None: there is no cache.
    """

    def __init__(self, folder: Path | None) -> None:
        self._note = folder / f"{os.getpid()}-{time.time_ns()}" if folder is not None else None
        self._descriptor = -1

    def __enter__(self) -> InUse:
        if self._note is not None:
            with suppress(OSError):
                self._note.parent.mkdir(parents=True, exist_ok=True)
                unlocked = self._note.parent.with_name(f".{self._note.name}")
                self._descriptor = os.open(unlocked, os.O_CREAT | os.O_RDWR, 0o600)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                unlocked.rename(self._note)  # only now others see it
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor >= 0 and self._note is not None:
            self._note.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


class _Entry(NamedTuple):
    used: float
    path: Path
    size: int


def keep_within(cached: Path, most_bytes: int, notes: Path) -> int:
    """Remove what was not used for a month, and then what was not used for longest until the rest is small enough.

    What was used since the first of the processes that are at the cache came to it stays, however much that is.

    Args:
        cached: a folder of folders of files.
        most_bytes: what they may take together.
        notes: the folder of `InUse`.

    Returns:
        How many files were removed.
    """
    since = _first_use(notes)
    entries = []
    for path in cached.glob("*/*"):
        with suppress(OSError):
            status = path.stat()
            entries.append(_Entry(status.st_mtime, path, status.st_size))
    total = sum(entry.size for entry in entries)
    oldest, removed = time.time() - LONGEST_UNUSED_SECONDS, 0
    for entry in sorted(entries):
        if entry.used >= since or (entry.used >= oldest and total <= most_bytes):
            break
        with suppress(OSError):
            if entry.path.stat().st_mtime >= since:  # used a moment ago
                continue
            entry.path.unlink()
            removed += 1
            total -= entry.size
    return removed


def _first_use(notes: Path) -> float:
    """When the first of the processes began that are at the cache, in seconds since 1970; infinity if none is."""
    first = float("inf")
    for note in notes.glob("*"):
        with suppress(OSError):
            descriptor = os.open(note, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                note.unlink(missing_ok=True)  # of a process that was killed
            except BlockingIOError:
                first = min(first, os.fstat(descriptor).st_mtime)
            finally:
                os.close(descriptor)
    return first
