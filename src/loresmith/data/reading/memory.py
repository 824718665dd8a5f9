"""What is remembered of files between runs, so that those that have not changed need not be read again.

Two things, both only to save time: what a file's bytes are, by what the system says of the file; and what reading such
bytes gave. Either may be gone or damaged at any time; then the file is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import sqlite3
import time
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from loresmith.data.readers.record import ReadingRules, Record
from loresmith.data.reading.cache_size import InUse, keep_within
from loresmith.data.reading.extraction import Extraction

VERSION = 4
"""Counts up when a reader gives something else for the same bytes."""

READER_PACKAGES = (
    "pyarrow",
    "pypdfium2",
    "pdf-oxide",
    "olefile",
    "pillow",
    "tinytag",
    "chardet",
    "jinja2",
)
"""The libraries that decide what is read of a file."""

_RACY_NANOSECONDS = 2_000_000_000
"""A file that changed so shortly before it was looked at may have changed again without its time telling (as git knows
it: "racy clean"). File systems count in up to two seconds."""

MOST_BYTES = 10 * 10**9
"""What extractions may take where nothing else is said."""

_EXTRACTIONS, _IN_USE = "extractions", "in-use"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS file (
    location BLOB PRIMARY KEY, signature TEXT NOT NULL, outcome TEXT NOT NULL
) WITHOUT ROWID
"""


class Known(NamedTuple):
    """What reading a file's bytes gave: its sha256, or why it was not read and more about that; its size in bytes."""

    sha256: str
    reason: str
    detail: str
    size: int

    @classmethod
    def of(cls, data: bytes) -> Known:
        """What is known of a file with these bytes."""
        return cls(hashlib.sha256(data).hexdigest(), "", "", len(data))


class KnownFiles:
    """What the bytes of files were when they were last read. A context manager.

    Args:
        folder: where it is kept; any number of processes may be at it. Without one, nothing is known.
    """

    def __init__(self, folder: Path | None) -> None:
        self._database: sqlite3.Connection | None = None
        self._new: list[tuple[bytes, str, str]] = []
        if folder is not None:
            with suppress(OSError, sqlite3.Error):
                folder.mkdir(parents=True, exist_ok=True)
                self._database = sqlite3.connect(folder / "known-files.sqlite", timeout=10, isolation_level=None)
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = OFF")
                self._database.execute(_SCHEMA)

    def look(self, location: str, max_bytes: int) -> Known | None:
        """What a file's bytes are, if it is as it was; None if it must be read."""
        try:
            return self.find(location, _signature(Path(location).lstat(), max_bytes))
        except OSError:
            return None

    def find(self, location: str, signature: str) -> Known | None:
        """What was kept of a place under this signature."""
        if self._database is None:
            return None
        try:
            row = self._database.execute(
                "SELECT signature, outcome FROM file WHERE location = ?", (os.fsencode(location),)
            ).fetchone()
            return Known(*json.loads(row[1])) if row is not None and row[0] == signature else None
        except (sqlite3.Error, ValueError, TypeError):
            return None

    def remember(self, location: str, before: os.stat_result, max_bytes: int, known: Known) -> None:
        """Keep what a file's bytes are.

        Args:
            before: what the system said of the file before it was read.
        """
        if time.time_ns() - max(before.st_ctime_ns, before.st_mtime_ns) >= _RACY_NANOSECONDS:
            self.keep(location, _signature(before, max_bytes), known)

    def keep(self, location: str, signature: str, known: Known) -> None:
        """Keep what lies at a place as long as it has this signature."""
        if self._database is None:
            return
        self._new.append((os.fsencode(location), signature, json.dumps(known)))
        if len(self._new) >= 1000:
            self._write()

    def forget(self, beginning: str) -> None:
        """Forget every place whose name begins so."""
        if self._database is not None:
            first = os.fsencode(beginning)
            with suppress(sqlite3.Error):
                self._database.execute("DELETE FROM file WHERE substr(location, 1, ?) = ?", (len(first), first))

    def forget_missing(self, folder: str) -> None:
        """Forget the files below a folder that are not there any more."""
        if self._database is None:
            return
        root = os.fsencode(folder.rstrip("/") + "/")
        with suppress(sqlite3.Error):
            known = self._database.execute(
                "SELECT location FROM file WHERE location >= ? AND location < ?", (root, root[:-1] + b"0")
            ).fetchall()
            missing = [location for (location,) in known if not os.path.lexists(location)]
            self._database.executemany("DELETE FROM file WHERE location = ?", [(location,) for location in missing])

    def __enter__(self) -> KnownFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._database is not None:
            self._write()
            self._database.close()

    def _write(self) -> None:
        assert self._database is not None
        with suppress(sqlite3.Error):
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT OR REPLACE INTO file VALUES (?, ?, ?)", self._new)
            self._database.execute("COMMIT")
        self._new.clear()


def _signature(status: os.stat_result, max_bytes: int) -> str:
    identity = (status.st_dev, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return signature_of([*identity, max_bytes])


def signature_of(parts: Sequence[str | float]) -> str:
    """What tells one state of a file from another."""
    return json.dumps(list(parts))


class Extractions:
    """What reading files gave, by their bytes, their names and the rules.

    A context manager; at its end what was not used for longest is removed.

    Args:
        folder: where it is kept; any number of processes may be at it. Without one, nothing is kept.
        erased: sha256 of files and of texts of which nothing may be kept.
        most_bytes: what all of it may take. What this process adds is never more, and what any process at it has used
            stays until that ends; so it may be more for a while.
    """

    def __init__(
        self,
        folder: Path | None,
        rules: ReadingRules,
        erased: AbstractSet[str] = frozenset(),
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._erased = erased
        self._folder = folder / _EXTRACTIONS if folder is not None else None
        self._notes = folder / _IN_USE if folder is not None else None
        self._in_use = InUse(self._notes)
        self._way = digest_of_way(rules)
        self._most, self._added = most_bytes, 0

    def __enter__(self) -> Extractions:
        self._in_use.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in_use.__exit__(kind, error, trace)
        if self._folder is not None and self._notes is not None:
            keep_within(self._folder, self._most, self._notes)

    def find(self, sha256: str, name: str) -> Extraction | None:
        """What reading such a file gave, if that is known."""
        path = self._path(sha256, name)
        if path is None:
            return None
        try:
            extraction = Extraction.from_bytes(_undamaged(path.read_bytes()))
            os.utime(path)  # used lately
        except (OSError, ValueError):
            return None
        return extraction

    def keep(self, sha256: str, name: str, extraction: Extraction) -> None:
        """Remember what reading a file gave, if it would be the same again."""
        path = self._path(sha256, name)
        if path is None or not extraction.lasting or self._is_erased(sha256, extraction):
            return
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            data = extraction.to_bytes()
            self._added += len(data)
            if self._added > self._most:
                return
            temporary.write_bytes(hashlib.sha256(data).digest() + data)
            temporary.replace(path)

    def forget(self, sha256s: Sequence[str]) -> int:
        """Remove all that is remembered of files with these bytes, and of the files in them; returns how many
        extractions that were."""
        removed = 0
        waiting = list(sha256s) if self._folder is not None else []
        while waiting:
            sha256 = waiting.pop()
            # Those with a dot in front were left by who was killed while writing them.
            for pattern in (f"{sha256}-*", f".{sha256}-*"):
                for path in (self._folder or Path()).joinpath(sha256[:2]).glob(pattern):
                    with suppress(OSError, ValueError):
                        extraction = Extraction.from_bytes(_undamaged(path.read_bytes()))
                        waiting += [member.sha256 for member in extraction.members]
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed

    def _is_erased(self, sha256: str, extraction: Extraction) -> bool:
        if not self._erased:
            return False
        return sha256 in self._erased or any(
            isinstance(record, Record) and hashlib.sha256(record.text.encode()).hexdigest() in self._erased
            for record in extraction.records()
        )

    def _path(self, sha256: str, name: str) -> Path | None:
        if self._folder is None:
            return None
        called = posixpath.basename(name).lower()
        way = hashlib.sha256(f"{self._way}\n{called}".encode(errors="surrogatepass")).hexdigest()[:32]
        return self._folder / sha256[:2] / f"{sha256}-{way}"


def remembered(caches: Path, sha256: str) -> Iterator[Extraction]:
    """What reading a file with these bytes gave, in every way in which that was done.

    Args:
        caches: the folder with the caches of all steps.
    """
    for path in sorted(caches.glob(f"*/{_EXTRACTIONS}/{sha256[:2]}/{sha256}-*")):
        with suppress(OSError, ValueError):
            yield Extraction.from_bytes(_undamaged(path.read_bytes()))


def forget_everywhere(
    caches: Path, sha256s: Sequence[str], texts: AbstractSet[str], on_record: AbstractSet[str]
) -> None:
    """Remove what is remembered of files with these bytes, of any in which something says just this, and of what is not
    on record: what a preview or a run that failed has read may be another version of what is to be forgotten.

    Args:
        caches: the folder with the caches of all steps.
        texts: sha256 of what documents said.
        on_record: sha256 of the files that stay; the files in them do, too.
    """
    for folder in sorted(caches.glob(f"*/{_EXTRACTIONS}")):
        Extractions(folder.parent, ReadingRules()).forget(sha256s)
        inside: dict[str, set[str]] = {}
        for path in folder.glob("*/*"):
            try:
                extraction = Extraction.from_bytes(_undamaged(path.read_bytes()))
                forgotten = any(
                    isinstance(record, Record) and hashlib.sha256(record.text.encode()).hexdigest() in texts
                    for record in extraction.records()
                )
            except FileNotFoundError:
                continue
            except (OSError, ValueError):
                forgotten = True  # nobody can tell what is in it, and it is of no use
            if forgotten:
                path.unlink(missing_ok=True)
            else:
                inside.setdefault(_sha256_of(path), set()).update(member.sha256 for member in extraction.members)
        waiting, stay = [*(on_record & inside.keys())], set[str]()
        while waiting:
            if (sha256 := waiting.pop()) not in stay:
                stay.add(sha256)
                waiting += inside.get(sha256, ())
        for path in folder.glob("*/*"):
            if _sha256_of(path) not in stay:
                path.unlink(missing_ok=True)


def _sha256_of(extraction: Path) -> str:
    """Of the file that was read, from the name under which the extraction is kept."""
    return extraction.name.lstrip(".").partition("-")[0]


def digest_of_way(rules: ReadingRules) -> str:
    """A digest of all that decides what reading given bytes gives: the readers, their libraries and the rules."""
    libraries = {}
    for package in READER_PACKAGES:
        with suppress(PackageNotFoundError):
            libraries[package] = version(package)
    decides = asdict(rules) | {"ocr": rules.ocr.identity if rules.ocr else None}
    way = {"version": VERSION, "libraries": libraries, "rules": decides}
    return hashlib.sha256(json.dumps(way, sort_keys=True).encode()).hexdigest()


def _undamaged(data: bytes) -> bytes:
    digest, content = data[:32], data[32:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("what was kept is damaged")
    return content
