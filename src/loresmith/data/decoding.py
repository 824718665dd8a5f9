"""Bytes to text, or a plain statement that they are none: no replacement characters, and no guess unless one is asked
for."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loresmith.data.encoding_guess import guess_encoding, unmarked_utf16
from loresmith.data.nearly_ascii import encoding_of_the_rest

AUTO = "auto"
"""Among `encodings`: whichever the text looks like. It is the last that is tried."""

LEAST_CONFIDENCE = 0.1
"""Of a guess that counts. Right guesses begin there, and what is no text stays below (`benchmarks/encodings.py`)."""

_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Escapes of programs and of the network; some take quadratic time.
_NOT_OF_FILES = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}


class UndecodableError(Exception):
    """The bytes are no text in any encoding that was allowed."""


@dataclass(frozen=True)
class Decoded:
    """A text, and how its bytes were understood.

    Attributes:
        encoding: of the bytes after the mark, by Python's name.
        mark: how many bytes the byte order mark has.
        confidence: of a guess, from 0 to 1; None when it is none.
    """

    text: str
    encoding: str
    mark: int = 0
    confidence: float | None = None

    @property
    def metadata(self) -> dict[str, Any]:
        """For a record: a guessed encoding and its confidence."""
        if self.confidence is None or self.encoding == "ascii":
            return {}
        return {"encoding": self.encoding, "encoding_confidence": self.confidence}


def decode(data: bytes, encodings: Sequence[str], declared: str | None = None) -> str:
    """The text of a file; as `decode_file`."""
    return decode_file(data, encodings, declared).text


def decode_file(data: bytes, encodings: Sequence[str], declared: str | None = None) -> Decoded:
    """The text of a file, and its encoding.

    A byte order mark decides; without one, what the file itself declares, if Python knows it; then `encodings` in
    order, and the likeliest one if `auto` is among them; where none is likely and the text is ASCII but for a few
    letters, the one in which those make sense, with `LEAST_CONFIDENCE`. The mark is removed, and everything else stays
    as it is, line endings included. UTF-16 without a mark is read as such if `encodings` have it or `auto`, and as
    nothing else.

    Args:
        encodings: names of Python codecs, tried in order, or `auto`; a single-byte codec accepts everything, so it
            comes last.
        declared: an encoding that the file names, such as HTML's `charset`.

    Raises:
        UndecodableError: saying what failed first.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return Decoded(_decoded(data[len(mark) :], [encoding])[0], encoding, len(mark))
    wide = unmarked_utf16(data)
    if wide:
        if AUTO not in encodings and wide not in map(_codec_name, encodings):
            raise UndecodableError(f"{wide} without a byte order mark; `encodings` may have it, or `auto`")
        return Decoded(_decoded(data, [wide])[0], wide, confidence=1.0)
    named = [declared] if declared and known_encoding(declared) else []
    listed = [name for name in encodings if name != AUTO]
    try:
        text, encoding = _decoded(data, [*named, *listed])
    except UndecodableError as error:
        if AUTO not in encodings:
            raise
        return _guessed(data, error)
    return Decoded(text, encoding)


def _guessed(data: bytes, failure: UndecodableError) -> Decoded:
    guess = guess_encoding(data)
    if guess is None or guess.confidence < LEAST_CONFIDENCE or not known_encoding(guess.encoding):
        likely = [guess.encoding] if guess is not None and known_encoding(guess.encoding) else []
        nearly = encoding_of_the_rest(data, likely)
        if nearly:
            return Decoded(data.decode(nearly), nearly, confidence=LEAST_CONFIDENCE)
        if guess is None:
            raise failure
        raise UndecodableError(f"{failure}; it may be {guess.encoding}, with a confidence of {guess.confidence}")
    text, encoding = _decoded(data, [guess.encoding])
    return Decoded(text, encoding, confidence=guess.confidence)


def _codec_name(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return name


def known_encoding(name: str) -> bool:
    """Whether Python has a codec of this name that a file of text may be written in."""
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        return False
    return codec._is_text_encoding and codec.name.replace("_", "-") not in _NOT_OF_FILES


def _decoded(data: bytes, encodings: Sequence[str]) -> tuple[str, str]:
    """The text, and the first of the encodings that it is in."""
    failures = []
    for encoding in encodings:
        try:
            return data.decode(encoding), encoding
        except UnicodeError as error:
            failures.append(f"{codecs.lookup(encoding).name}: {getattr(error, 'reason', error)}")
    raise UndecodableError(failures[0] if failures else "no encoding to try")
