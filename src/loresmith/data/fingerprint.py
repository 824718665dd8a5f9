"""The digest of what a recipe's places hold: file names and contents, and not where they lie or when they changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from loresmith.data.raw_files import RawFile, UnreadFile, read_raw
from loresmith.data.reading.memory import Known, KnownFiles
from loresmith.data.scan import Entry, scan


class ContentDigest:
    """The digest over files in the order in which they are added."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, path: str, reason: str, size: int, sha256: str) -> None:
        """Add a file: the digest of its contents, or the reason why it was not read."""
        self._hash.update(json.dumps([path, reason, size, sha256]).encode() + b"\n")

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def raw_digest(raw: RawFile | UnreadFile) -> str:
    """SHA-256 of a file's bytes; empty when it was not read."""
    return hashlib.sha256(raw.data).hexdigest() if isinstance(raw, RawFile) else ""


def content_fingerprint(
    places: Sequence[Path],
    include: Sequence[str],
    exclude: Sequence[str],
    max_file_bytes: int,
    cache: Path | None = None,
) -> str:
    """The digest of all that `ingest` would read from the same places with the same settings.

    Modification times are left out: a fresh checkout of the same files is the same input.

    Args:
        cache: a folder in which it is remembered what files were, so that those that have not changed are not read.

    Raises:
        UserError: as `scan`.
    """

    def look(entry: Entry) -> tuple[Known, os.stat_result | None]:
        raw = read_raw(entry, max_file_bytes)
        if isinstance(raw, UnreadFile):
            return Known("", raw.reason, raw.detail, raw.size), raw.status
        return Known(raw_digest(raw), "", "", raw.size), raw.status

    total = ContentDigest()
    entries = scan(places, include, exclude)
    with KnownFiles(cache) as known, ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        found = [None if entry.refusal else known.look(entry.location, max_file_bytes) for entry in entries]
        changed = [entry for entry, remembered in zip(entries, found, strict=True) if remembered is None]
        looked = pool.map(look, changed)
        for entry, remembered in zip(entries, found, strict=True):
            if remembered is None:
                remembered, status = next(looked)
                if status is not None:
                    known.remember(entry.location, status, max_file_bytes, remembered)
            total.add(entry.path, remembered.reason, remembered.size, remembered.sha256)
    return total.hexdigest()
