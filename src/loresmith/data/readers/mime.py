"""The parts of a mail (RFC 5322, RFC 2045 to 2049), cut out of its bytes.

Cut and not copied: what is attached keeps the bytes it had, and time is linear in a mail's size. The parser of the
standard library reads the headers, which it does well, and not the bodies.
"""

from __future__ import annotations

import binascii
import email.message
import email.parser
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from email.policy import compat32
from functools import cached_property

from loresmith.data.decoding import UndecodableError, decode, known_encoding

# What does not look like a header ends the headers, even without an empty line, and belongs to the body.
_HEADERS = re.compile(rb"(?:>?From [^\n]*\n)?((?:(?:[!-9;-~]+[ \t]*:|[ \t]+\S)[^\n]*(?:\n|\Z))*+)(?:\r?\n)?")
_LONGEST_HEADERS = 1 << 20
_LONGEST_PARAMETERS = 1 << 13
_DEEPEST = 32
_BROKEN_WORDS = (HeaderParseError, LookupError, UnicodeError, ValueError, IndexError, TypeError, AttributeError)
_UU_BEGIN = re.compile(rb"^begin [0-7]{3,4} [^\r\n]*\r?\n", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """One part: its headers, and its body as it was sent."""

    headers: email.message.Message
    body: bytes

    @cached_property
    def content_type(self) -> str:
        """Lower case; text/plain where it is missing or none."""
        return self.headers.get_content_type()

    @cached_property
    def file_name(self) -> str:
        """As the part's headers have it, decoded; empty when they have none."""
        try:
            name = self.headers.get_filename() or ""
        except _BROKEN_WORDS:
            return ""
        return words(name)

    @property
    def is_attachment(self) -> bool:
        """Whether it asks not to be shown with the text."""
        return self.header("Content-Disposition").lower().lstrip().startswith("attachment")

    def parameter(self, name: str) -> str:
        """A parameter of its content type; empty when there is none."""
        try:
            value = self.headers.get_param(name, "")
        except _BROKEN_WORDS:
            return ""
        return (value[2] if isinstance(value, tuple) else str(value or "")).strip()

    def header(self, name: str) -> str:
        """A header's text, on one line, decoded (RFC 2047); empty when there is none."""
        return words(self._raw(name))

    def _raw(self, name: str) -> str:
        """As it was sent; the headers' own `get` puts question marks for what is not ASCII."""
        found = (value for header, value in self.headers.raw_items() if header.lower() == name.lower())
        return str(next(found, ""))

    def content(self) -> bytes:
        """The body's bytes, with its transfer encoding undone as far as that can be."""
        encoding = self.header("Content-Transfer-Encoding").strip().lower()
        if encoding == "base64":
            return _base64(self.body)
        if encoding == "quoted-printable":
            return binascii.a2b_qp(self.body)
        if encoding in ("x-uuencode", "uuencode", "x-uue", "uue"):
            return _uudecoded(self.body)
        return self.body

    def text(self, encodings: tuple[str, ...]) -> str:
        """The body's text in the character set that it names, else in one of `encodings`; line ends as line feeds.

        Raises:
            UndecodableError: in none of them.
        """
        content, named = self.content(), self.parameter("charset").strip("'\" ")
        if named.lower() in ("us-ascii", "ascii", "iso-8859-1", "latin1"):
            named = "cp1252"  # as every mail program reads it
        if not known_encoding(named):
            named = ""
        try:
            text = decode(content, encodings, named or None)
        except UndecodableError:
            if named != "cp1252":
                raise
            text = content.decode("latin-1")
        return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_part(data: bytes) -> Part:
    """Headers and body of a mail or a part of one."""
    found = _HEADERS.match(data, 0, _LONGEST_HEADERS)
    head = found[1] if found else b""
    body = data[found.end() if found else 0 :]
    headers = email.parser.BytesHeaderParser(policy=compat32).parsebytes(head)
    for name in ("Content-Type", "Content-Disposition"):  # whose parameters are parsed in quadratic time
        if len(str(headers.get(name, ""))) > _LONGEST_PARAMETERS:
            headers.replace_header(name, str(headers[name])[:_LONGEST_PARAMETERS])
    return Part(headers, body)


def inner_parts(part: Part, depth: int = 0) -> Iterator[Part]:
    """The parts of a multipart one; none of any other, nor of one whose boundary is missing."""
    boundary = part.parameter("boundary").encode("utf-8", "surrogateescape")
    if not part.content_type.startswith("multipart/") or not boundary or depth > _DEEPEST:
        return
    line = re.compile(rb"^--" + re.escape(boundary) + rb"(--)?[ \t]*\r?$\n?", re.MULTILINE)
    start = None
    for found in line.finditer(part.body):
        if start is not None:
            yield parse_part(_without_last_break(part.body[start : found.start()]))
        if found[1]:
            return
        start = found.end()
    if start is not None:  # it ends before its last boundary
        yield parse_part(part.body[start:])


def words(value: object) -> str:
    """A header's value as text: encoded words decoded, on one line, undecodable bytes replaced."""
    raw = " ".join(str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace").split())
    try:
        pieces = decode_header(raw) if "=?" in raw else [(raw, None)]
        decoded = "".join(_word(piece, charset) for piece, charset in pieces)
    except _BROKEN_WORDS:
        decoded = raw
    readable = decoded.encode("utf-8", "replace").decode()
    return " ".join("".join(" " if ord(letter) < 32 else letter for letter in readable).split())


def _word(piece: bytes | str, charset: str | None) -> str:
    if isinstance(piece, str):
        return piece
    if charset is None:  # what stands between encoded words, as `decode_header` writes it
        return piece.decode("raw-unicode-escape")
    return piece.decode(charset if known_encoding(charset) else "utf-8", "replace")


def _without_last_break(data: bytes) -> bytes:
    return data[:-2] if data.endswith(b"\r\n") else data.removesuffix(b"\n")


def _base64(body: bytes) -> bytes:
    """Without what is none of its alphabet, and without the last digits when they are too few."""
    digits = re.sub(rb"[^A-Za-z0-9+/]", b"", body.split(b"=", 1)[0] if b"=" in body[-8:] else body)
    digits = digits[:-1] if len(digits) % 4 == 1 else digits
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def _uudecoded(body: bytes) -> bytes:
    begin = _UU_BEGIN.search(body)
    decoded = []
    for line in body[begin.end() if begin else 0 :].splitlines():
        if line.strip() in (b"end", b"`", b""):
            break
        try:
            decoded.append(binascii.a2b_uu(line))
        except binascii.Error:
            count = (((line[0] - 32) & 63) * 4 + 5) // 3  # some programs write more than they say
            try:
                decoded.append(binascii.a2b_uu(line[:count]))
            except binascii.Error:
                break
    return b"".join(decoded)
