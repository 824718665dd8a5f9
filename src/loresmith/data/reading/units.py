"""The files of a place one after the other, each followed by those in it, read ahead by workers."""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loresmith.data.readers.member_names import member_path
from loresmith.data.readers.record import ReadingRules
from loresmith.data.reading.extraction import Extraction, FoundMember, refusal
from loresmith.data.reading.limits import Limits
from loresmith.data.reading.memory import Extractions, KnownFiles
from loresmith.data.reading.pool import ReadingPool
from loresmith.data.reading.sources import NoBytes, SourceFile
from loresmith.errors import Failure

Place = Callable[[str, Path], bool]
"""Puts a file that is held already at a path, by its sha256; False where it is not held."""


@dataclass(frozen=True)
class ReadFile:
    """A file and what reading it gave.

    Attributes:
        path: below its place; of a file inside another `outer!/inner`.
        size: in bytes, as read or unpacked.
        sha256: of its bytes; empty where it was not read.
        modified: when it was written, in seconds since 1970; None where that is not known.
        extraction: its records, and the names of the files in it.
        unread: why its bytes were not read; empty where they were.
        inside: whether it lies in another file.
        metadata: what its source says of it, or of the file it lies in.
    """

    path: str
    size: int
    sha256: str
    modified: float | None
    extraction: Extraction
    unread: str = ""
    inside: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class _Unit:
    """A file under way."""

    path: str
    depth: int
    size: int
    sha256: str = ""
    modified: float | None = None
    unread: str = ""
    extraction: Extraction | None = None
    number: int | None = None
    bytes_at: Path | None = None
    room: int = 0
    promised: int = 0
    used: int = 0
    top: _Unit | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    members_at: list[Path] = field(default_factory=list)


@dataclass
class UnitReader:
    """Reads entries in order.

    Attributes:
        rules, limits: of reading.
        keep: the folder that gets the bytes of every file that is read, under its path.
        max_file_bytes: a larger file is not read.
        known, extractions: what is remembered from earlier.
        place: finds a file's bytes where they are held.
        pool: the workers.
        tick: called while waiting; it may raise to leave.
        ahead: how many files are under way at once. What is unpacked of those whose turn it is not yet takes no more of
            the disk, together, than the outermost one whose turn it is may.
        erased: the sha256 of files that are neither read nor kept.
        read: how many files' bytes were read so far.
        extracted: how many files went through a reader so far.
    """

    rules: ReadingRules
    limits: Limits
    keep: Path
    max_file_bytes: int
    known: KnownFiles
    extractions: Extractions
    place: Place
    pool: ReadingPool
    tick: Callable[[], None]
    ahead: int = 8
    erased: AbstractSet[str] = frozenset()
    read: int = 0
    extracted: int = 0
    _promised: int = field(default=0, init=False)

    def units(self, files: Iterable[SourceFile]) -> Iterator[ReadFile]:
        """Every file, followed by the files in it."""
        coming = iter(files)
        under_way: deque[_Unit] = deque()
        while True:
            while len(under_way) < self.ahead and (file := next(coming, None)) is not None:
                under_way.append(self._begin(file))
            if not under_way:
                return
            for unit in itertools.islice(under_way, self.ahead):
                self._look_into(unit, at_once=unit is under_way[0])
            unit = under_way.popleft()
            extraction = self._finish(unit)
            yield ReadFile(
                unit.path,
                unit.size,
                unit.sha256,
                unit.modified,
                extraction,
                unit.unread,
                inside=unit.top is not None,
                metadata=(unit.top or unit).metadata,
            )
            members = [self._member(unit, index, found) for index, found in enumerate(extraction.members)]
            under_way.extendleft(reversed(members))

    def _begin(self, file: SourceFile) -> _Unit:
        """Have a file read, or find that it is as it was."""
        target = self.keep / file.path
        known = file.known(self.known, self.max_file_bytes)
        if known is not None:
            what, modified = known
            if what.reason:
                return _refused(file.path, what.reason, what.detail, what.size)
            if what.sha256 in self.erased:
                return _left_out(_Unit(file.path, 0, what.size, what.sha256, modified))
            if not _made(target.parent):
                return _refused(file.path, *_TWO_NAMES, what.size)
            if self.place(what.sha256, target):
                return self._extracting(_Unit(file.path, 0, what.size, what.sha256, modified), target)
        found = file.read(self.known, self.max_file_bytes)
        if isinstance(found, NoBytes):
            return _refused(file.path, found.reason, found.detail, found.size)
        self.read += 1
        unit = _Unit(file.path, 0, len(found.data), hashlib.sha256(found.data).hexdigest(), found.modified)
        unit.metadata = found.metadata
        if unit.sha256 in self.erased:
            return _left_out(unit)
        if not _made(target.parent) or target.is_dir():
            return _refused(file.path, *_TWO_NAMES, len(found.data))
        target.write_bytes(found.data)
        return self._extracting(unit, target)

    def _extracting(self, unit: _Unit, bytes_at: Path) -> _Unit:
        """A unit whose bytes are there."""
        unit.bytes_at = bytes_at
        if unit.size == 0:
            unit.extraction = refusal("empty", "", 0)
        return unit

    def _look_into(self, unit: _Unit, *, at_once: bool) -> None:
        """Remember what is in a unit, or have a worker look.

        Args:
            at_once: whether its turn has come; if not, it may be given less room than it turns out to need.
        """
        if unit.extraction is not None or unit.number is not None or unit.bytes_at is None:
            return
        unit.extraction = self._remembered(unit.sha256, unit.path)
        if unit.extraction is not None:
            return
        if at_once:
            unit.room = self._left(unit)
        else:
            share = self.rules.max_unpacked_bytes // self.ahead
            unit.room = unit.promised = share if self._promised + share <= self.rules.max_unpacked_bytes else 0
            self._promised += unit.promised
        self.extracted += 1
        unit.number = self.pool.submit(unit.bytes_at, unit.path, unit.size, unit.room)

    def _left(self, unit: _Unit) -> int:
        """How many bytes the files in a unit may have that are read, now that all before it were counted."""
        deepest = unit.depth >= self.limits.depth
        return 0 if deepest else max(0, self.rules.max_unpacked_bytes - (unit.top or unit).used)

    def _remembered(self, sha256: str, path: str) -> Extraction | None:
        """What reading a file gave, if all of it is remembered: an archive must be unpacked again for one in it."""
        found = self.extractions.find(sha256, path)
        if found is None:
            return None
        inner = ((member.sha256, member_path(path, member.name)) for member in found.members)
        return found if all(self._remembered(*member) is not None for member in inner) else None

    def _finish(self, unit: _Unit) -> Extraction:
        if unit.number is not None and unit.extraction is None:
            extraction = self._result(unit)
            self.extractions.keep(unit.sha256, unit.path, extraction)
            unit.members_at = [self.pool.member(unit.number, index) for index in range(len(extraction.members))]
            unit.extraction = extraction
        if unit.top is not None and unit.bytes_at is not None:
            unit.bytes_at.unlink(missing_ok=True)
        assert unit.extraction is not None
        return unit.extraction

    def _result(self, unit: _Unit) -> Extraction:
        """What the worker found. Where it had not enough room, it is asked again: what is left is known by now."""
        assert unit.number is not None
        assert unit.bytes_at is not None
        extraction = self.pool.result(unit.number, self.tick)
        self._promised -= unit.promised
        left = self._left(unit)
        sizes = itertools.accumulate(member.size for member in extraction.members)
        wanted = max(itertools.takewhile(lambda size: size <= left, sizes), default=0)
        if wanted > unit.room:
            self.pool.forget(unit.number)
            unit.number = self.pool.submit(unit.bytes_at, unit.path, unit.size, left)
            extraction = self.pool.result(unit.number, self.tick)
        return extraction

    def _member(self, outer: _Unit, index: int, found: FoundMember) -> _Unit:
        """A file inside another, within what is left of the outermost one's allowance."""
        top = outer.top or outer
        top.used += found.size
        path = member_path(outer.path, found.name)
        unit = _Unit(path, outer.depth + 1, found.size, found.sha256, found.modified or outer.modified, top=top)
        at = outer.members_at[index] if outer.members_at else None
        if unit.depth > self.limits.depth:
            unit.extraction = refusal("nested too deeply", f"more than {self.limits.depth} files deep", found.size)
        elif top.used > self.rules.max_unpacked_bytes:
            most = self.rules.max_unpacked_bytes
            unit.extraction = refusal("unpacks to too much", f"more than {most} bytes in {top.path}", found.size)
        elif found.sha256 in self.erased:
            unit = _left_out(unit)
        elif at is not None:
            return self._extracting(unit, at)
        else:
            unit.extraction = self.extractions.find(found.sha256, path)
            if unit.extraction is None:
                raise Failure("what was remembered of files was removed while it was used", hint="run it again")
        if at is not None:
            at.unlink(missing_ok=True)
        return unit


def _left_out(unit: _Unit) -> _Unit:
    unit.extraction = refusal("erased", "", unit.size)
    return unit


_TWO_NAMES = ("not a file name", "another file's name is a folder in this one's, as an object store allows")


def _made(folder: Path) -> bool:
    """Make a folder; False where a file has its name, or that of one above it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        return False
    return True


def _refused(path: str, reason: str, detail: str, size: int) -> _Unit:
    unit = _Unit(path, 0, size, unread=reason)
    unit.extraction = refusal(reason, detail, size)
    return unit
