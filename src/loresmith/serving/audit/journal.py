"""Audit records on the disk before they are in the ledger.

A transaction of the ledger costs about ten times what adding to a file costs. So a gateway whose ledger is a file of
the same machine adds an intent to a file of its own, waits for the disk and goes on; the ledger takes what has come
together a moment later, in one transaction, and the file is emptied. If the gateway is killed in between, whoever comes
next brings what the file holds into the ledger (`bring_in`).

A file is frames, each the length of a record, its CRC-32 and the record in JSON. A frame that is cut off at the end was
never waited for to the end, and nothing was answered on it. What was said is in it as in the ledger: encrypted.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import struct
import uuid
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from loresmith.errors import Failure
from loresmith.ledger import AuditRow

if TYPE_CHECKING:
    from loresmith.ledger.audit_records import AuditRecords

FOLDER = "audit-journal"
"""In a workspace's state folder."""

_FRAME = struct.Struct(">II")
_AT_ONCE = 500
_NAMES = tuple(field.name for field in fields(AuditRow))


class Journal:
    """The file of one gateway process, which holds a lock on it as long as it lives.

    Args:
        folder: of all gateways' files; made where there is none.

    Raises:
        Failure: it cannot be made, or not be locked.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path, self._file = _made(folder)
        except OSError as error:
            raise _failure(folder, error) from error
        self._size = 0

    def append(self, rows: Sequence[AuditRow]) -> None:
        """Put records on the disk; all of them, or none.

        Raises:
            Failure: they could not be written.
        """
        data = b"".join(map(_framed, rows))
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fdatasync(self._file)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise _failure(self._path, error) from error
        self._size += len(data)

    def clear(self) -> None:
        """Forget them: they are in the ledger."""
        if self._size:
            with suppress(OSError):  # then they are found in the ledger when they are brought in again
                os.ftruncate(self._file, 0)
                self._size = 0

    def close(self) -> None:
        """Let go of the file; an empty one is removed."""
        if not self._size:
            self._path.unlink(missing_ok=True)
        os.close(self._file)


def bring_in(folder: Path, records: AuditRecords) -> int:
    """Bring what gateways left behind that are no more into the ledger.

    What is there already is not added again. Where a record in the middle of a file cannot be read any more, the
    ledger says so (`audit-gap`).

    Returns:
        How many records were added.

    Raises:
        Failure: the ledger, or a file, cannot be read, written or locked; nothing is lost.
    """
    added = 0
    for path in sorted(folder.glob("*.journal")):
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _failure(path, error, "read") from error
        try:
            if _lock(file, path, fcntl.LOCK_EX | fcntl.LOCK_NB):  # else its gateway is at work
                added += _brought_in(path, records)
        except OSError as error:
            raise _failure(path, error, "read, or not be removed") from error
        finally:
            os.close(file)
    return added


def _brought_in(path: Path, records: AuditRecords) -> int:
    rows, unread = _read(path)
    missing = [row for row in rows if row.phase not in {found.phase for found in records.of(row.response)}]
    for first in range(0, len(missing), _AT_ONCE):
        records.append(missing[first : first + _AT_ONCE])
    if unread:
        records.note("audit-gap", f"{unread} bytes of a killed gateway's records cannot be read")
    path.unlink(missing_ok=True)
    return len(missing)


def _lock(file: int, path: Path, how: int) -> bool:
    """Lock a file; False if somebody else has. Raises Failure where files cannot be locked at all."""
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError as error:
        raise Failure(
            f"the audit's journal cannot be locked: {error.strerror or error}",
            where=str(path),
            hint="have the workspace on a disk of this machine, or mount the share so that it locks files (`flock`): "
            "without locks, records of a gateway at work could be taken for those of a killed one",
        ) from error
    return True


def _made(folder: Path) -> tuple[Path, int]:
    while True:
        path = folder / f"{uuid.uuid4().hex}.journal"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _lock(file, path, fcntl.LOCK_EX)
        except Failure:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        if os.fstat(file).st_nlink:
            break
        os.close(file)  # somebody took it for one that was left behind, before it was locked
    directory = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return path, file


def _framed(row: AuditRow) -> bytes:
    said = {name: getattr(row, name) for name in _NAMES}
    said["content"] = None if row.content is None else base64.b64encode(row.content).decode()
    body = json.dumps(said).encode()
    return _FRAME.pack(len(body), zlib.crc32(body)) + body


def _read(path: Path) -> tuple[list[AuditRow], int]:
    """The records of a file, and how many bytes cannot be read, a cut off end apart."""
    data = path.read_bytes()
    rows: list[AuditRow] = []
    at = 0
    while at + _FRAME.size <= len(data):
        size, check = _FRAME.unpack_from(data, at)
        body = data[at + _FRAME.size : at + _FRAME.size + size]
        if len(body) < size:
            break
        if zlib.crc32(body) != check:
            return rows, len(data) - at
        said = json.loads(body)
        said["content"] = None if said["content"] is None else base64.b64decode(said["content"])
        rows.append(AuditRow(**said))
        at += _FRAME.size + size
    return rows, 0


def _failure(path: Path, error: OSError, done: str = "written") -> Failure:
    return Failure(
        f"the audit's journal cannot be {done}: {error.strerror or error}",
        where=str(path),
        hint="check the folder's owner and mode, and that its disk is there and has room",
    )
