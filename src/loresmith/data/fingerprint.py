"""The digest of what a recipe's places hold: file names and contents, and not where they lie or when they changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from loresmith.data.raw_files import RawFile, UnreadFile
from loresmith.data.reading.memory import Known, KnownFiles
from loresmith.data.reading.sources import NoBytes, SourceFile


class ContentDigest:
    """The digest over files in the order in which they are added."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, path: str, reason: str, size: int, sha256: str, target: str = "") -> None:
        """Add a file: the digest of its contents, or the reason why it was not read; of a symbolic link also to which
        file it leads, since what may be done with that holds for what is read through the link."""
        told = [path, reason, size, sha256, *([target] if target else [])]
        self._hash.update(json.dumps(told).encode() + b"\n")

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def raw_digest(raw: RawFile | UnreadFile) -> str:
    """SHA-256 of a file's bytes; empty when it was not read."""
    return hashlib.sha256(raw.data).hexdigest() if isinstance(raw, RawFile) else ""


def content_fingerprint(
    files: Sequence[SourceFile],
    max_file_bytes: int,
    cache: Path | None = None,
    erased: AbstractSet[str] = frozenset(),
) -> str:
    """The digest of all that `ingest` would read of these files.

    Modification times are left out: a fresh checkout of the same files is the same input.

    Args:
        files: sorted by path.
        max_file_bytes: a larger file is not read.
        cache: a folder in which it is remembered what files were, so that those that have not changed are not read.
        erased: the sha256 of files that are left out, as if they were not there.
    """
    total = ContentDigest()
    with KnownFiles(cache) as known:
        for file in files:
            found = file.known(known, max_file_bytes)
            what = found[0] if found is not None else _read(file, known, max_file_bytes)
            if what.sha256 not in erased:
                total.add(file.path, what.reason, what.size, what.sha256, file.target)
    return total.hexdigest()


def _read(file: SourceFile, known: KnownFiles, max_file_bytes: int) -> Known:
    read = file.read(known, max_file_bytes)
    return Known("", read.reason, read.detail, read.size) if isinstance(read, NoBytes) else Known.of(read.data)
