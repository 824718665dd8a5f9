"""What a file's first bytes say it is: the signatures that formats begin with.

Only signatures of which text cannot begin by chance count. A zip file or a compound file is a container for many
formats; which one is said by its first members, as far as they are within the bytes seen.
"""

from __future__ import annotations

import codecs
import re

from loresmith.data.encoding_guess import unmarked_utf16

_SIGNATURES = (  # offset, bytes, what it is
    (0, b"%PDF-", "pdf"),
    (0, b"{\\rtf", "rtf"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),  # an empty one
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"\x1f\x8b\x08", "gzip"),
    (4, b"1AY&SY", "bzip2"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (257, b"ustar", "tar"),
    (0, b"PAR1\x15", "parquet"),
    (0, b"ARROW1\0\0", "arrow"),
    (0, b"SQLite format 3\0", "sqlite"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (8, b"WEBPVP8", "webp"),
    (8, b"WAVEfmt ", "wav"),
    (0, b"fLaC\0", "flac"),
    (0, b"OggS\0", "ogg"),
    (0, b"ID3\x02", "mp3"),
    (0, b"ID3\x03", "mp3"),
    (0, b"ID3\x04", "mp3"),
    (4, b"ftypM4A", "m4a"),
)
_WIDE_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WIDE_CODECS = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")

# The WHATWG standard for sniffing has these tags; <a>, <b> and <br> are left out: prose in Markdown begins so, too.
_HTML = re.compile(
    r"(?:\s|<!--.*?-->|<\?.*?\?>)*+<(?:!doctype\s+html|html|head|body|title|meta|script|style|table|div|h1|p|frameset)\b",
    re.IGNORECASE | re.DOTALL,
)
_MAILBOX = re.compile(rb"From [^\r\n]{1,200} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d[^\r\n]{0,40}\r?\n>?[!-9;-~]{1,76}:")
_OOXML_FIRST = re.compile(
    rb"\[Content_Types\]\.xml|_rels/\.rels|docProps/(?:app|core)\.xml|word/(?:document|_rels)"
    rb"|xl/(?:workbook|worksheets|_rels)|ppt/(?:presentation|slides|_rels)"
)
_OOXML_KINDS = ((b"word/", "zip/docx"), (b"ppt/", "zip/pptx"), (b"xl/workbook.bin", "zip/xlsb"), (b"xl/", "zip/xlsx"))
_INFO_MARKS = re.compile(rb"\0\x08[\[\]]")
_ZIP_MEMBER = re.compile(rb"PK\x03\x04.{22}", re.DOTALL)
_MIMETYPES = {
    b"application/epub+zip": "zip/epub",
    b"application/vnd.oasis.opendocument.text": "zip/odt",
    b"application/vnd.oasis.opendocument.spreadsheet": "zip/ods",
    b"application/vnd.oasis.opendocument.presentation": "zip/odp",
}
_OLE_STREAMS = (  # an encrypted document holds only its package; mail may hold a document, but its own names come first
    ("__properties_version1.0", "ole/msg"),
    ("WordDocument", "ole/doc"),
    ("PowerPoint Document", "ole/ppt"),
    ("Workbook", "ole/xls"),
)


def content_of(head: bytes) -> str:
    """What the content is by its signature: `pdf`, or `zip/docx` for a format within a container; empty if it has none.

    A container alone (`zip`, `zip/ooxml`, `ole`) means that the bytes seen do not tell what is in it.
    """
    for offset, signature, content in _SIGNATURES:
        if head.startswith(signature, offset):
            if content == "zip":
                return _in_zip(head)
            return _in_ole(head) if content == "ole" else content
    return ""


def is_binary(head: bytes) -> bool:
    """Whether a file with this head is no text: it has a NUL (as git has it), and is not in UTF-16 or UTF-32.

    The NULs of GNU Info's marks (`\\0\\b[index\\0\\b]`) do not count.
    """
    if b"\0" not in head or head.startswith(_WIDE_MARKS):
        return False
    return b"\0" in _INFO_MARKS.sub(b"", head) and not unmarked_utf16(head)


def looks_like_mailbox(head: bytes) -> bool:
    """Whether text begins as a mailbox does, with `From ada@example.org Mon Nov  2 10:00:00 2026` and a header."""
    return bool(_MAILBOX.match(head))


def looks_like_html(head: bytes) -> bool:
    """Whether text begins as a web page does."""
    for mark, codec in zip(_WIDE_MARKS, _WIDE_CODECS, strict=True):
        if head.startswith(mark):
            return bool(_HTML.match(head[len(mark) :].decode(codec, "ignore")))
    return bool(_HTML.match(head.removeprefix(codecs.BOM_UTF8).decode("latin-1")))


def _in_zip(head: bytes) -> str:
    first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if first == b"mimetype":
        start = 38 + int.from_bytes(head[28:30], "little")
        for media_type, content in _MIMETYPES.items():
            if head[start:].startswith((media_type + b"PK", media_type + b"-template", media_type + b"\n")):
                return content
        return "zip"
    if not _OOXML_FIRST.match(first):
        return "zip"
    names = [head[member.end() + 4 :] for member in _ZIP_MEMBER.finditer(head)]
    for prefix, content in _OOXML_KINDS:
        if any(name.startswith(prefix) for name in names):
            return content
    return "zip/ooxml"


def _in_ole(head: bytes) -> str:
    for name, content in _OLE_STREAMS:
        if name.encode("utf-16-le") in head:
            return content
    return "ole"
