"""Plain text: the file is the document."""

from __future__ import annotations

from collections.abc import Iterator

from loresmith.data.decoding import decode
from loresmith.data.readers.record import ReadingRules, Record


def read_text(data: bytes, rules: ReadingRules) -> Iterator[Record]:
    """One record with the whole text."""
    yield Record(decode(data, rules.encodings), len(data))
