"""Markdown: read as it is written, since the markup is light and carries meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loresmith.data.decoding import decode_file
from loresmith.data.readers.record import ReadingRules, Record, metadata_json

_FENCED = re.compile(r"^(?:```|~~~)[^\n]*\n.*?^(?:```|~~~)", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^# +(\S[^\n]*?)[ #]*$", re.MULTILINE)


def read_markdown(data: bytes, rules: ReadingRules) -> Iterator[Record]:
    """One record with the whole text; its first heading of level one is the title."""
    decoded = decode_file(data, rules.encodings)
    heading = _HEADING.search(_FENCED.sub("", decoded.text))
    title = {"title": heading[1]} if heading else {}
    yield Record(decoded.text, len(data), metadata=metadata_json({**title, **decoded.metadata}))
