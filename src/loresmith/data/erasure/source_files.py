"""From the path of a document back to the file of a snapshot that it was read from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO

_WITHIN = re.compile(r"#|!/")


def listed_files(listing: BinaryIO) -> dict[str, str]:
    """The sha256 of every file of a snapshot, by path; from its `listing.jsonl`."""
    return {row["path"]: row["sha256"] for row in map(json.loads, listing)}


def file_of(path: str, files: Mapping[str, str]) -> str | None:
    """The file that a document, or a file in a file, was read from; None where it is not among these."""
    return next((name for name in _beginnings(path) if name in files), None)


def _beginnings(path: str) -> Iterator[str]:
    """The path, and what stands before each mark of a record or of a file in a file; the longest first."""
    yield path
    for mark in reversed(list(_WITHIN.finditer(path))):
        yield path[: mark.start()]
