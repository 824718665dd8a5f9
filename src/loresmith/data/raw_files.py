"""Reading one file from outside, whatever it turns out to be: never a hang, never more memory than allowed.

What the one read returned is what counts from then on. A file that is written to meanwhile is read again, since half of
what it said and half of what it says is nothing that anybody wrote.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from loresmith.data.file_types import HEAD_BYTES, is_unknown
from loresmith.data.scan import Entry

ATTEMPTS = 3
"""At reading a file that is written to."""


@dataclass(frozen=True)
class RawFile:
    """The bytes of a file, and what the system said of it when they were read."""

    data: bytes
    status: os.stat_result

    @property
    def modified(self) -> float:
        """When it was written, in seconds since 1970."""
        return self.status.st_mtime

    @property
    def size(self) -> int:
        return len(self.data)


@dataclass(frozen=True)
class UnreadFile:
    """A file whose bytes were not read: why, how many there are as far as is known, and what the system said of it."""

    reason: str
    detail: str
    size: int
    status: os.stat_result | None = None


def read_raw(entry: Entry, max_bytes: int) -> RawFile | UnreadFile:
    """The bytes of an entry.

    Of a file that is no text, and of no format that is known here, no more than the beginning is read.

    Args:
        max_bytes: a larger file is not read.
    """
    if entry.refusal:
        return UnreadFile(entry.refusal, entry.detail, 0)
    size = 0
    for _ in range(ATTEMPTS):
        found = _read_once(entry, max_bytes)
        if not isinstance(found, int):
            return found
        size = found
    return UnreadFile("changed while read", f"{ATTEMPTS} times", size)


def _read_once(entry: Entry, max_bytes: int) -> RawFile | UnreadFile | int:
    """As `read_raw`; the size that the file has by now where it was written to meanwhile."""
    try:
        # Between the scan and now the file may have become a FIFO or a link: neither may hold us up or lead us away.
        descriptor = os.open(entry.location, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return UnreadFile("vanished", "", 0)
    except OSError as error:
        return UnreadFile("unreadable", error.strerror or type(error).__name__, 0)
    try:
        with open(descriptor, "rb", buffering=0) as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return UnreadFile("not a regular file", "", 0)
            if status.st_size > max_bytes:
                return UnreadFile(
                    "too large", f"{status.st_size} bytes; max_file_bytes is {max_bytes}", status.st_size, status
                )
            head = file.read(min(HEAD_BYTES, max_bytes + 1))
            if is_unknown(entry.path, head):
                return UnreadFile("binary", "", status.st_size, status)
            parts, size = [head], len(head)
            while size <= max_bytes:
                part = file.read(min(max(status.st_size - size + 1, HEAD_BYTES), max_bytes + 1 - size))
                if not part:
                    break
                parts.append(part)
                size += len(part)
            now = os.fstat(descriptor)
            if size <= max_bytes and _written(now) != _written(status):
                return now.st_size
    except OSError as error:
        return UnreadFile("unreadable", error.strerror or type(error).__name__, 0)
    if size > max_bytes:
        return UnreadFile("too large", f"it grew while it was read; max_file_bytes is {max_bytes}", size)
    return RawFile(b"".join(parts), status)


def _written(status: os.stat_result) -> tuple[int, int]:
    """What changes when a file is written to."""
    return status.st_size, status.st_mtime_ns
