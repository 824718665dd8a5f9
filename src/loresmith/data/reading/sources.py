"""Where files come from: a folder of this machine, a URL, or the commit of a Git repository. Read alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from loresmith.data.git_source import GitFile
from loresmith.data.raw_files import RawFile, UnreadFile, read_raw
from loresmith.data.readers.record import Refused
from loresmith.data.reading.memory import Known, KnownFiles, signature_of
from loresmith.data.remote_places import RemoteEntry
from loresmith.data.scan import Entry


@dataclass(frozen=True)
class FoundBytes:
    """The bytes of a file, when it was written (seconds since 1970), and what its source says of it."""

    data: bytes
    modified: float | None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NoBytes:
    """A file that was not read: why, more about that, and its size in bytes as far as is known."""

    reason: str
    detail: str
    size: int


class SourceFile(Protocol):
    """A file of a source.

    Attributes:
        path: below its place, as `path_names` writes it.
        target: of a symbolic link, the path of the file that it leads to; else empty.
    """

    @property
    def path(self) -> str: ...

    @property
    def target(self) -> str: ...

    def known(self, files: KnownFiles, max_bytes: int) -> tuple[Known, float | None] | None:
        """What its bytes are and when it was written, if it is as it was when it was last read."""

    def read(self, files: KnownFiles, max_bytes: int) -> FoundBytes | NoBytes:
        """Its bytes, which `files` may remember."""


@dataclass(frozen=True)
class LocalFile:
    """A file of this machine."""

    entry: Entry

    @property
    def path(self) -> str:
        return self.entry.path

    @property
    def target(self) -> str:
        return self.entry.target

    def known(self, files: KnownFiles, max_bytes: int) -> tuple[Known, float | None] | None:
        known = None if self.entry.refusal else files.look(self.entry.location, max_bytes)
        if known is None:
            return None
        try:
            return known, Path(self.entry.location).stat().st_mtime
        except OSError:  # it went a moment ago: reading it says so
            return None

    def read(self, files: KnownFiles, max_bytes: int) -> FoundBytes | NoBytes:
        raw = read_raw(self.entry, max_bytes)
        if raw.status is not None:
            known = Known("", raw.reason, raw.detail, raw.size) if isinstance(raw, UnreadFile) else Known.of(raw.data)
            files.remember(self.entry.location, raw.status, max_bytes, known)
        if isinstance(raw, RawFile):
            return FoundBytes(raw.data, raw.modified)
        return NoBytes(raw.reason, raw.detail, raw.size)


@dataclass(frozen=True)
class RemoteFile:
    """A file below a URL.

    Attributes:
        path: below all places.
        entry: the file.
        url: the place.
    """

    path: str
    entry: RemoteEntry
    url: str
    target = ""

    @property
    def _location(self) -> str:
        url = hashlib.sha256(self.url.encode()).hexdigest()  # there may be a signature in it
        return f"{url}\n{self.entry.path}"

    def _signature(self, max_bytes: int) -> str:
        return signature_of([self.entry.version, self.entry.size, self.entry.modified, max_bytes])

    def known(self, files: KnownFiles, max_bytes: int) -> tuple[Known, float | None] | None:
        if not self.entry.version:  # size and time alone do not tell one content from another
            return None
        known = files.find(self._location, self._signature(max_bytes))
        return (known, self.entry.modified or None) if known is not None else None

    def read(self, files: KnownFiles, max_bytes: int) -> FoundBytes | NoBytes:
        read = self.entry.read(max_bytes)
        if isinstance(read, Refused):
            return NoBytes(read.reason, read.detail, read.bytes)
        if self.entry.version:
            files.keep(self._location, self._signature(max_bytes), Known.of(read))
        return FoundBytes(read, self.entry.modified or None)


@dataclass(frozen=True)
class CommittedFile:
    """A file of a commit, or what cannot be read of it."""

    found: GitFile | Refused
    target = ""

    @property
    def path(self) -> str:
        return self.found.path if isinstance(self.found, GitFile) else self.found.anchor

    def known(self, files: KnownFiles, max_bytes: int) -> tuple[Known, float | None] | None:
        return None

    def read(self, files: KnownFiles, max_bytes: int) -> FoundBytes | NoBytes:
        if isinstance(self.found, Refused):
            return NoBytes(self.found.reason, self.found.detail, self.found.bytes)
        if len(self.found.data) > max_bytes:
            size = len(self.found.data)
            return NoBytes("too large", f"{size} bytes; max_file_bytes is {max_bytes}", size)
        return FoundBytes(self.found.data, self.found.modified, self.found.metadata)


def with_metadata(metadata: str, more: Mapping[str, Any]) -> str:
    """A record's metadata, as `metadata_json` writes it, with what its file's source says; the record's own wins."""
    if not more:
        return metadata
    from loresmith.data.readers.record import metadata_json

    return metadata_json({**more, **json.loads(metadata)})
