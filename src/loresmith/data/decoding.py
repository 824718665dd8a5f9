"""Bytes to text, or a plain statement that they are none: no guessing, no replacement characters."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Escapes of programs and of the network; some take quadratic time.
_NOT_OF_FILES = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}


class UndecodableError(Exception):
    """The bytes are no text in any encoding that was allowed."""


def decode(data: bytes, encodings: Sequence[str], declared: str | None = None) -> str:
    """The text of a file.

    A byte order mark decides; without one, what the file itself declares, if Python knows it; then `encodings` in
    order. The mark is removed, and everything else stays as it is, line endings included.

    Args:
        encodings: names of Python codecs, tried in order; a single-byte codec accepts everything, so it comes last.
        declared: an encoding that the file names, such as HTML's `charset`.

    Raises:
        UndecodableError: saying what failed first.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decoded(data, [encoding])
    return _decoded(data, [declared, *encodings] if declared and known_encoding(declared) else encodings)


def known_encoding(name: str) -> bool:
    """Whether Python has a codec of this name that a file of text may be written in."""
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        return False
    return codec._is_text_encoding and codec.name.replace("_", "-") not in _NOT_OF_FILES


def _decoded(data: bytes, encodings: Sequence[str]) -> str:
    failures = []
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeError as error:
            failures.append(f"{encoding}: {getattr(error, 'reason', error)}")
    raise UndecodableError(failures[0])
