"""The way back from a snapshot: a folder that `ingest` reads as it once read the original.

A `source` asset holds the bytes of every file that was read and when it was written; the books beside the documents say
what else was there. What was not read needs no bytes to be refused again for the same reason.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from loresmith.data.document_row import document_id
from loresmith.data.path_names import raw_path
from loresmith.errors import UserError

_SPECIAL = {"a FIFO": stat.S_IFIFO, "a socket": stat.S_IFSOCK}
_EPOCH = datetime.fromtimestamp(0, UTC)
_BEYOND_CALENDARS = 253402300800 * 10**9
"""The year 10000, in nanoseconds since 1970: what ISO 8601 in four digits cannot say."""


def restore(source: Path, documents: Path, places: int, folder: Path) -> list[Path]:
    """Lay out what `ingest` read.

    Args:
        source, documents: what it made.
        places: from how many places it read.
        folder: an empty folder.

    Returns:
        The places, in `folder`.

    Raises:
        UserError: something was there then that cannot be made again, such as a file that could not be read.
    """
    with (source / "listing.jsonl").open(encoding="utf-8") as listing:
        listed: dict[str, dict[str, Any]] = {row["path"]: row for row in map(json.loads, listing)}
    top = folder if places > 1 else folder / "place"
    top.mkdir(exist_ok=True)
    for path, row in listed.items():
        target = _target(top, path)
        if row.get("target") in listed:
            target.symlink_to(link_between(path, row["target"]))
        else:
            shutil.copyfile(source / "files" / path, target)
            _set_time(target, row["modified"])
    for row in _rows(documents / "books.parquet", ["id", "path", "reason", "detail", "bytes"]):
        if row["id"] == document_id(row["path"], ""):  # of a file that was not read, for want of its digest
            make = _stand_in(row)
            make(_target(top, row["path"]))
    if places == 1:
        return [top]
    for number in range(places - len(list(top.iterdir()))):  # a place in which nothing matched is a place all the same
        (top / f"nothing matched here {number}").mkdir()
    return sorted(top.iterdir())


def _target(top: Path, written: str) -> Path:
    """Where a file is laid out, its folder made."""
    raw = raw_path(written)
    if raw.startswith("/") or "\0" in raw or {"", ".", ".."} & set(raw.removesuffix("/").split("/")):
        raise UserError("no file can have been called so", where=written)
    target = top / raw
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path, pre_buffer=False) as table:
        for batch in table.iter_batches(columns=columns):
            yield from batch.to_pylist()


def _set_time(path: Path, modified: str) -> None:
    if modified:
        moment = (datetime.fromisoformat(modified) - _EPOCH) // timedelta(microseconds=1) * 1000
    else:
        moment = _BEYOND_CALENDARS
    os.utime(path, ns=(moment, moment))
    if path.stat().st_mtime_ns != moment:
        raise UserError(f"this file system cannot hold its time, {modified or 'after the year 9999'}", where=path.name)


def _stand_in(row: Mapping[str, Any]) -> Callable[[Path], None]:
    """What makes something that is refused as the original was, from its row of the books."""
    reason, detail = row["reason"], row["detail"]
    match reason:
        case "binary":
            return lambda path: _holes(path, row["bytes"])
        case "too large" if not detail.startswith("it grew"):
            return lambda path: _holes(path, row["bytes"])
        case "broken symbolic link":
            return lambda path: path.symlink_to("nothing/is/here")
        case "symbolic link in a loop":
            return lambda path: path.symlink_to(path.name)
        case "symbolic link that leads outside":
            return lambda path: path.symlink_to("/")
        case "symbolic link to a folder":
            return lambda path: path.symlink_to(".")
        case "symbolic link to what is left out":
            return _link_to_what_is_left_out
        case "not a regular file" if detail in _SPECIAL:
            return lambda path: os.mknod(path, _SPECIAL[detail] | 0o600)
    said = f"{reason} ({detail})" if detail else reason
    raise UserError(f"when it was read, this was {said}, which cannot be made so again", where=row["path"])


def _link_to_what_is_left_out(path: Path) -> None:
    """A link into a folder that no recipe reads."""
    (path.parent / ".loresmith").mkdir(exist_ok=True)
    (path.parent / ".loresmith" / "left-out").touch()
    path.symlink_to(".loresmith/left-out")


def link_between(link: str, target: str) -> str:
    """What a symbolic link at one path says to lead to another, both as they are written."""
    return os.path.relpath(raw_path(target), Path(raw_path(link)).parent)


def _holes(path: Path, size: int) -> None:
    """A file of NULs that takes no room."""
    with path.open("wb") as file:
        file.truncate(size)
