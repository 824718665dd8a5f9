"""Source code: read as it is written; `source_language` tells its language."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loresmith.data.decoding import decode_file
from loresmith.data.readers.record import ReadingRules, Record, metadata_json

# PEP 263: in a comment of the first or second line; Emacs and Vim write it so in other languages, too.
_DECLARED = re.compile(rb"\A(?:[^\r\n]*\r?\n)?[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")


def read_source_code(data: bytes, rules: ReadingRules) -> Iterator[Record]:
    """One record with the whole text; an encoding that its first two lines declare is respected."""
    declared = _DECLARED.match(data)
    decoded = decode_file(data, rules.encodings, declared[1].decode("ascii", "replace") if declared else None)
    yield Record(decoded.text, len(data), metadata=metadata_json(decoded.metadata))
