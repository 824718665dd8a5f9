"""Plain text: the file is the document."""

from __future__ import annotations

from collections.abc import Iterator

from loresmith.data.decoding import decode_file
from loresmith.data.readers.record import ReadingRules, Record, metadata_json


def read_text(data: bytes, rules: ReadingRules) -> Iterator[Record]:
    """One record with the whole text."""
    decoded = decode_file(data, rules.encodings)
    yield Record(decoded.text, len(data), metadata=metadata_json(decoded.metadata))
