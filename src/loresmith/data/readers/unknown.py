"""Files that are no text, of a format that nobody here reads."""

from __future__ import annotations

from collections.abc import Iterator

from loresmith.data.readers.record import ReadingRules, Refused


def read_unknown(data: bytes, rules: ReadingRules) -> Iterator[Refused]:
    """The file, refused."""
    yield Refused("binary", "no text, and of no format that is known here", len(data))
