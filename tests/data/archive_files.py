"""Archives for tests, of forms that the standard library does not write."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

LZMA2, X86, DELTA, COPY = b"\x21", b"\x03\x03\x01\x03", b"\x03", b"\x00"
AES, PPMD = b"\x06\xf1\x07\x01", b"\x03\x04\x01"


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 11, 2, 10, 0, 0)), data, method)
    return made.getvalue()


def tarred(files: Mapping[str, bytes | tarfile.TarInfo], form: int = tarfile.PAX_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for name, data in files.items():
            member = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(data, bytes):
                member.size, member.mtime = len(data), 1_700_000_000
            archive.addfile(member, io.BytesIO(data) if isinstance(data, bytes) else None)
    return made.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def seven_zipped(
    files: Mapping[str, bytes], *methods: bytes, pack_header: bool = False, first: int | None = None
) -> bytes:
    """A 7z file with all files in one folder.

    Args:
        methods: coders, in the order in which they unpack; LZMA2 alone if there are none.
        pack_header: whether the header is packed, as 7-Zip does it.
        first: the declared size of the first file, where that is a lie.
    """
    coders = methods or (LZMA2,)
    held = b"".join(files.values())
    packed = _packed(held, coders)
    sizes = [len(data) for data in files.values()]
    if first is not None:
        sizes[0] = first
    streams = _streams(0, packed, coders, sum(sizes))
    streams += b"\x08\x0d" + _number(len(files)) + b"\x09" + b"".join(map(_number, sizes[:-1]))
    streams += b"\x0a\x01" + b"".join(struct.pack("<I", zlib.crc32(data)) for data in files.values()) + b"\0"
    names = b"\0" + b"".join(f"{name}\0".encode("utf-16-le") for name in files)
    entries = b"\x05" + _number(len(files)) + b"\x11" + _number(len(names)) + names + b"\0"
    header = b"\x01\x04" + streams + b"\0" + entries + b"\0"
    body = packed
    if pack_header:
        again = _packed(header, (LZMA2,))
        body += again
        header = b"\x17" + _streams(len(packed), again, (LZMA2,), len(header)) + b"\0"
    start = struct.pack("<QQI", len(body), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\x04" + struct.pack("<I", zlib.crc32(start)) + start + body + header


def _packed(data: bytes, coders: tuple[bytes, ...]) -> bytes:
    filters: list[dict[str, Any]] = []
    for coder in reversed(coders):
        if coder == X86:
            filters.append({"id": lzma.FILTER_X86})
        elif coder == DELTA:
            filters.append({"id": lzma.FILTER_DELTA, "dist": 4})
        elif coder == LZMA2:
            filters.append({"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20})
    return lzma.compress(data, lzma.FORMAT_RAW, filters=filters) if filters else data


def _streams(position: int, packed: bytes, coders: tuple[bytes, ...], size: int) -> bytes:
    properties = {LZMA2: b"\x10", DELTA: b"\x03"}
    folder = _number(len(coders))
    for coder in coders:
        own = properties.get(coder, b"")
        folder += bytes([len(coder) | (0x20 if own else 0)]) + coder + (_number(len(own)) + own if own else b"")
    for index in range(1, len(coders)):
        folder += _number(index) + _number(index - 1)
    plan = b"\x07\x0b\x01\0" + folder + b"\x0c" + _number(size) * len(coders) + b"\0"
    return b"\x06" + _number(position) + b"\x01\x09" + _number(len(packed)) + b"\0" + plan


def _number(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else b"\xff" + struct.pack("<Q", value)
