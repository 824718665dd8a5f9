"""A folder of a reproduction's own, in which one that was interrupted goes on."""

from __future__ import annotations

import fcntl
import itertools
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = "lock"
_CONDITIONS = "conditions"
_GONE = ".gone-"


@contextmanager
def scratch(folder: Path, name: str, conditions: str) -> Iterator[Path]:
    """A folder under `folder` that no other process uses.

    It is that of an earlier process which was interrupted at the same work under the same conditions, if there is one;
    otherwise it is empty. It stays when the block is left; whoever has finished discards it.

    Args:
        name: of the work: two at the same work at once get a folder each.
        conditions: a digest of all that decides the result; half of a result made under others is of no use.
    """
    for left in folder.glob(f"{_GONE}*"):
        shutil.rmtree(left, ignore_errors=True)
    for number in itertools.count(1):
        place = folder / f"{name}-{number}"
        place.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(place / _LOCK)
        if descriptor is None:
            continue
        try:
            written = place / _CONDITIONS
            if not written.exists() or written.read_text(encoding="utf-8") != conditions:
                _empty(place)
                written.write_text(conditions, encoding="utf-8")
            yield place
        finally:
            os.close(descriptor)
        return


def discard(place: Path) -> None:
    """Remove a folder of ours. Nobody finds it half removed, and takes it for one in which to go on."""
    gone = place.with_name(f"{_GONE}{secrets.token_hex(8)}")
    place.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)  # another process may have begun to, and whoever comes next ends it


def discard_idle(folder: Path, *, only_look: bool = False) -> list[Path]:
    """Remove every folder under `folder` that no process uses, those that were kept to be looked at included; returns
    those that are in use. With `only_look` nothing is removed."""
    busy = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else ():
        descriptor = _locked(place / _LOCK)
        if descriptor is None:
            if place.exists():
                busy.append(place)
            continue
        try:
            if not only_look:
                discard(place)
        finally:
            os.close(descriptor)
    return busy


def _locked(path: Path) -> int | None:
    """An open file that is locked, and the one that others find there; None when somebody else has it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:  # its folder has just been discarded
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _empty(place: Path) -> None:
    for path in place.iterdir():
        if path.name == _LOCK:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
