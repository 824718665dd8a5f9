"""PDF files written by hand: set pages with headers, footers and columns, scans, and files with a password."""

from __future__ import annotations

import hashlib
import struct
import textwrap
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from manual_chapters import Chapter

WIDTH, HEIGHT = 595, 842
_PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
_ID = bytes(16)


@dataclass(frozen=True)
class Piece:
    """A line of text: where its left end stands on the page, in points from the lower left, and how large it is."""

    x: float
    y: float
    text: str
    size: float = 10


Scan = bytes
"""The rows of a grey picture of a page, `SCAN_WIDTH` wide."""
SCAN_WIDTH = 120


def manual_pages(chapters: Sequence[Chapter], title: str, columns: int = 1) -> list[list[Piece]]:
    """Each chapter on pages of its own, with a header and a footer as a word processor sets them."""
    pages: list[list[Piece]] = []
    characters, width = (88, 495) if columns == 1 else (42, 240)
    for chapter in chapters:
        lines = [(chapter.title, 14.0)]
        for paragraph in chapter.paragraphs:
            lines += [("", 10.0), *((line, 10.0) for line in textwrap.wrap(paragraph, characters))]
        for number, step in enumerate(chapter.steps, start=1):
            lines += [(line, 10.0) for line in textwrap.wrap(f"{number}. {step}", characters)]
        room = 24 if columns == 2 else 20  # lines of a column: short pages, so that there are several of them
        for start in range(0, len(lines), room * columns):
            some = lines[start : start + room * columns]
            set_lines = [
                Piece(50 + at // room * (width + 15), 760 - at % room * 15, text, size)
                for at, (text, size) in enumerate(some)
                if text
            ]
            number = len(pages) + 1
            header = Piece(50, 805, f"{title}   Operating manual   Edition 7", 8)
            footer = Piece(50, 30, f"Nordhaven Pumps and Compressors   Page {number}", 8)
            pages.append([header, *set_lines, footer])
    return pages


def scanned_page() -> Scan:
    """A picture of a page: lines of grey words, which only people can read."""
    rows = []
    for y in range(170):
        inked = 20 <= y < 150 and y % 6 < 3
        rows.append(bytes(40 if inked and 12 <= x < 108 and (x * 7 + y // 6 * 5) % 23 > 3 else 250 for x in range(120)))
    return b"".join(rows)


def pdf(pages: Sequence[Sequence[Piece] | Scan], title: str, password: str = "") -> bytes:
    """A PDF 1.4. With a password nobody reads it who has none (RC4, 40 bits)."""
    kids = " ".join(f"{5 + 3 * at} 0 R" for at in range(len(pages)))
    objects: dict[int, tuple[bytes, bytes | None]] = {
        1: (b"<</Type/Catalog/Pages 2 0 R>>", None),
        2: (f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>".encode(), None),
        3: (b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>", None),
        4: (b"<<>>" if password else f"<</Title({title})/CreationDate(D:20260302090000Z)>>".encode("cp1252"), None),
    }
    for at, page in enumerate(pages):
        number = 5 + 3 * at
        things = f"/Resources<</Font<</F1 3 0 R>>/XObject<</I {number + 2} 0 R>>>>"
        head = f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {WIDTH} {HEIGHT}]{things}/Contents {number + 1} 0 R>>"
        objects[number] = (head.encode(), None)
        picture = page if isinstance(page, bytes) else b"\xff" * SCAN_WIDTH
        content = f"q {WIDTH} 0 0 {HEIGHT} 0 0 cm /I Do Q".encode() if isinstance(page, bytes) else _content(page)
        objects[number + 1] = (b"", content)
        size = f"/Width {SCAN_WIDTH}/Height {len(picture) // SCAN_WIDTH}/ColorSpace/DeviceGray/BitsPerComponent 8"
        objects[number + 2] = (f"/Type/XObject/Subtype/Image{size}/Filter/FlateDecode".encode(), zlib.compress(picture))
    return _file(objects, password.encode())


def _content(pieces: Sequence[Piece]) -> bytes:
    lines = []
    for piece in pieces:
        text = piece.text.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
        lines.append(b"BT /F1 %g Tf %g %g Td (%s) Tj ET" % (piece.size, piece.x, piece.y, text))
    return b"\n".join(lines)


def _file(objects: dict[int, tuple[bytes, bytes | None]], password: bytes) -> bytes:
    trailer, key = b"/Root 1 0 R/Info 4 0 R", b""
    if password:
        padded = (password + _PADDING)[:32]
        owner = _rc4(hashlib.md5(padded).digest()[:5], padded)
        key = hashlib.md5(padded + owner + struct.pack("<i", -4) + _ID).digest()[:5]
        marks = (_ID.hex().encode(), _ID.hex().encode(), owner.hex().encode(), _rc4(key, _PADDING).hex().encode())
        trailer += b"/ID[<%s><%s>]/Encrypt<</Filter/Standard/V 1/R 2/O<%s>/U<%s>/P -4>>" % marks
    data, places = bytearray(b"%PDF-1.4\n"), []
    for number, (head, stream) in objects.items():
        places.append(len(data))
        data += b"%d 0 obj\n" % number
        if stream is None:
            data += head
        else:
            held = stream
            if key:
                held = _rc4(hashlib.md5(key + struct.pack("<I", number)[:3] + bytes(2)).digest()[:10], stream)
            data += b"<<%s/Length %d>>\nstream\n%s\nendstream" % (head, len(held), held)
        data += b"\nendobj\n"
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1)
    data += b"".join(b"%010d 00000 n \n" % place for place in places)
    data += b"trailer\n<</Size %d%s>>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, trailer, start)
    return bytes(data)


def _rc4(key: bytes, data: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    i = j = 0
    out = bytearray()
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
