"""Which encoding a text is in that does not say so, as a guess with a confidence."""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass

_SAMPLE = 1 << 16
_NOT_OF_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_EVIDENCE = "\n\r \u3000\u3001\u3002\uff0c"  # in the other byte order these are no characters, or rare ones
_LINE_WITH_MORE = re.compile(rb"^[^\n\x80-\xff\x1b]*+[\x80-\xff\x1b][^\n]*+\n?", re.MULTILINE)


@dataclass(frozen=True)
class Guess:
    """An encoding by Python's name, and how sure it is, from 0 to 1."""

    encoding: str
    confidence: float


def guess_encoding(data: bytes) -> Guess | None:
    """The likeliest encoding of a text without a byte order mark; None when it looks like none.

    Detection is `chardet`'s, on up to 64 KiB of the lines that are not ASCII; see `benchmarks/encodings.py`. UTF-16 is
    found here: that its bytes have a form which no other text has is no question of likelihood.
    """
    wide = unmarked_utf16(data)
    if wide:
        return Guess(wide, 1.0)
    if data.isascii() and b"\x1b" not in data:
        return Guess("ascii", 1.0)
    import chardet

    found = chardet.detect(_sample(data))
    name = found["encoding"]
    if not name:
        return None
    try:
        codec = codecs.lookup(name)
    except LookupError:
        return None
    return Guess(codec.name, round(float(found["confidence"] or 0.0), 2))


def unmarked_utf16(data: bytes) -> str:
    """`utf-16-le` or `utf-16-be` if the bytes can only be that; else empty.

    They are if they hold control characters as bytes, and none when decoded: all are characters that Unicode has
    assigned, and among them are those that divide words or sentences.
    """
    sample = data[: _SAMPLE & ~1]
    if len(data) % 2 or not _NOT_OF_TEXT.search(sample):
        return ""
    scores = {}
    for codec in ("utf-16-le", "utf-16-be"):
        try:
            text = codecs.getincrementaldecoder(codec)().decode(sample)
        except UnicodeDecodeError:
            continue
        if all(letter in "\t\n\r\f" or unicodedata.category(letter)[0] not in "C" for letter in set(text)):
            scores[codec] = sum(map(text.count, _EVIDENCE))
    best = max(scores, key=lambda codec: scores[codec], default="")
    return best if best and scores[best] > 0 and list(scores.values()).count(scores[best]) == 1 else ""


def _sample(data: bytes) -> bytes:
    """Lines that are not ASCII, of which alone a detector learns something."""
    held, size = [], 0
    for line in _LINE_WITH_MORE.finditer(data):
        held.append(line[0])
        size += len(line[0])
        if size >= _SAMPLE:
            break
    return b"".join(held)[:_SAMPLE]
