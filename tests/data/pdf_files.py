"""PDF files written by hand: text in any script, text without spaces, scans, and files with a password."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

_PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
_CMAP = """/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Adobe-Identity-UCS def
/CMapType 2 def 1 begincodespacerange <0000> <FFFF> endcodespacerange
%s
endcmap end end"""


@dataclass(frozen=True)
class Page:
    """A page of lines of text.

    Attributes:
        scan: whether a picture fills it.
        unmapped: whether its font says nowhere what its glyphs, which are numbered as they please, mean.
        beside: whether the text stands above the page, where nobody sees it.
        gap: width of the gap between words, which then have no space, in thousandths of the font's size.
    """

    lines: Sequence[str] = ()
    scan: bool = False
    unmapped: bool = False
    gap: float | None = None
    beside: bool = False


def pdf(pages: Sequence[Page], title: str = "", password: str | None = None, permissions: int = -4) -> bytes:
    """A PDF 1.4. With a password its text is encrypted (RC4, 40 bits); without the user's nobody opens it."""
    objects: dict[int, tuple[bytes, bytes | None]] = {}
    kids = " ".join(f"{10 + 3 * at} 0 R" for at in range(len(pages)))
    objects[1] = (b"<</Type/Catalog/Pages 2 0 R>>", None)
    objects[2] = (f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>".encode(), None)
    letters = sorted({ord(letter) for page in pages for line in page.lines for letter in line} | {32})
    objects[4] = _font("5 0 R", "/ToUnicode 6 0 R")
    objects[5] = _descendant()
    mapping = [f"<{code:04X}> <{chr(code).encode('utf-16-be').hex().upper()}>" for code in letters]
    blocks = [mapping[at : at + 100] for at in range(0, len(mapping), 100)]
    text = "\n".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks)
    objects[6] = (b"", (_CMAP % text).encode())
    objects[7] = _font("5 0 R", "")
    for at, page in enumerate(pages):
        content = [f"BT /{'F2' if page.unmapped else 'F1'} 11 Tf 14 TL 50 {1790 if page.beside else 790} Td"]
        content += [_line(_glyphs(line) if page.unmapped else line, page.gap) for line in page.lines]
        content.append("ET")
        if page.scan:
            content.append("q 595 0 0 842 0 0 cm /I Do Q")
        number = 10 + 3 * at
        resources = f"/Resources<</Font<</F1 4 0 R/F2 7 0 R>>/XObject<</I {number + 2} 0 R>>>>"
        objects[number] = (
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]{resources}/Contents {number + 1} 0 R>>".encode(),
            None,
        )
        objects[number + 1] = (b"", "\n".join(content).encode("latin-1"))
        image = b"/Type/XObject/Subtype/Image/Width 8/Height 8/ColorSpace/DeviceGray/BitsPerComponent 8"
        objects[number + 2] = (image, bytes(range(0, 256, 4)))
    objects[3] = (
        f"<</Title<FEFF{title.encode('utf-16-be').hex()}>/CreationDate(D:20240229123456+01'00')>>".encode(),
        None,
    )
    return _file(objects, password, permissions)


def _line(line: str, gap: float | None) -> str:
    if gap is None:
        return f"<{line.encode('utf-16-be').hex()}> Tj T*"
    words = [f"<{word.encode('utf-16-be').hex()}>" for word in line.split(" ")]
    return "[" + f" {-gap} ".join(words) + "] TJ T*"


def _glyphs(line: str) -> str:
    return "".join(chr(0xE000 + ord(letter) * 7 % 1000) for letter in line)


def _font(descendant: str, more: str) -> tuple[bytes, None]:
    fonts = f"/Subtype/Type0/BaseFont/Helvetica/Encoding/Identity-H/DescendantFonts[{descendant}]"
    return f"<</Type/Font{fonts}{more}>>".encode(), None


def _descendant() -> tuple[bytes, None]:
    system = "/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>"
    descriptor = "/FontDescriptor<</Type/FontDescriptor/FontName/Helvetica/Flags 32/FontBBox[0 0 1 1]/ItalicAngle 0"
    descriptor += "/Ascent 700/Descent -200/CapHeight 700/StemV 80>>"
    return f"<</Type/Font/Subtype/CIDFontType2/BaseFont/Helvetica{system}{descriptor}/DW 500>>".encode(), None


def _file(objects: dict[int, tuple[bytes, bytes | None]], password: str | None, permissions: int) -> bytes:
    trailer = b"/Root 1 0 R/Info 3 0 R"
    key = b""
    if password is not None:
        owner = _rc4(hashlib.md5((password.encode() + _PADDING)[:32]).digest()[:5], (password.encode() + _PADDING)[:32])
        padded = (password.encode() + _PADDING)[:32]
        id_ = bytes(16)
        key = hashlib.md5(padded + owner + struct.pack("<i", permissions) + id_).digest()[:5]
        user = _rc4(key, _PADDING)
        trailer += b"/ID[<%s><%s>]/Encrypt<</Filter/Standard/V 1/R 2/O<%s>/U<%s>/P %d>>" % (
            id_.hex().encode(),
            id_.hex().encode(),
            owner.hex().encode(),
            user.hex().encode(),
            permissions,
        )
    data, places = bytearray(b"%PDF-1.4\n"), {}
    for number in sorted(objects):
        head, stream = objects[number]
        places[number] = len(data)
        data += b"%d 0 obj\n" % number
        if stream is None:
            data += head if password is None or number != 3 else b"<<>>"
        else:
            if key:
                own = hashlib.md5(key + struct.pack("<I", number)[:3] + bytes(2)).digest()[:10]
                stream = _rc4(own, stream)
            data += b"<<%s/Length %d>>\nstream\n%s\nendstream" % (head, len(stream), stream)
        data += b"\nendobj\n"
    start = len(data)
    data += b"xref\n0 1\n0000000000 65535 f \n"
    for number, place in places.items():
        data += b"%d 1\n%010d 00000 n \n" % (number, place)
    data += b"trailer\n<</Size %d%s>>\nstartxref\n%d\n%%%%EOF\n" % (max(objects) + 1, trailer, start)
    return bytes(data)


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
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
