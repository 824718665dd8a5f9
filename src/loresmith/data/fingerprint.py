"""The digest of what a recipe's places hold: file names and contents, and not where they lie or when they changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from loresmith.data.raw_files import RawFile, UnreadFile, read_raw
from loresmith.data.scan import Entry, scan


class ContentDigest:
    """The digest over files in the order in which they are added."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, path: str, raw: RawFile | UnreadFile, digest: str) -> None:
        """Add a file: its contents by their digest, or the reason why it was not read."""
        reason = raw.reason if isinstance(raw, UnreadFile) else ""
        self._hash.update(json.dumps([path, reason, raw.size, digest]).encode() + b"\n")

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def raw_digest(raw: RawFile | UnreadFile) -> str:
    """SHA-256 of a file's bytes; empty when it was not read."""
    return hashlib.sha256(raw.data).hexdigest() if isinstance(raw, RawFile) else ""


def content_fingerprint(
    places: Sequence[Path], include: Sequence[str], exclude: Sequence[str], max_file_bytes: int
) -> str:
    """The digest of all that `ingest` would read from the same places with the same settings.

    Modification times are left out: a fresh checkout of the same files is the same input.

    Raises:
        UserError: as `scan`.
    """

    def look(entry: Entry) -> tuple[RawFile | UnreadFile, str]:
        raw = read_raw(entry, max_file_bytes)
        digest = raw_digest(raw)
        return (UnreadFile("", "", raw.size) if isinstance(raw, RawFile) else raw), digest

    total = ContentDigest()
    entries = scan(places, include, exclude)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for entry, (raw, digest) in zip(entries, pool.map(look, entries), strict=True):
            total.add(entry.path, raw, digest)
    return total.hexdigest()
