"""7z files, over the decoders of the standard library.

What 7-Zip packs documents with is read: LZMA, LZMA2, Deflate, BZip2, Zstandard and Copy, behind the filters for
machine code and the delta filter. PPMd and BCJ2 are not, and refused by name.
"""

from __future__ import annotations

import lzma
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from loresmith.data.readers.member_names import MemberNames, UnsafeNameError, member_anchor
from loresmith.data.readers.record import Member, ReadingRules, Refused
from loresmith.data.readers.seven_zip_header import Archive, Coder, Entry, Folder, parse_header
from loresmith.data.readers.unpacking import (
    PIECE,
    Allowance,
    CountedStream,
    DamagedError,
    TooLargeError,
    TooMuchError,
    UnsupportedError,
    bunzip,
    inflate,
    unlzma,
    unlzma2,
    unzstd,
)

SIGNATURE = b"7z\xbc\xaf\x27\x1c"
_ENCRYPTION = b"\x06\xf1\x07\x01"
_FILTERS = {
    b"\x03\x03\x01\x03": lzma.FILTER_X86,
    b"\x03\x03\x02\x05": lzma.FILTER_POWERPC,
    b"\x03\x03\x04\x01": lzma.FILTER_IA64,
    b"\x03\x03\x05\x01": lzma.FILTER_ARM,
    b"\x03\x03\x07\x01": lzma.FILTER_ARMTHUMB,
    b"\x03\x03\x08\x05": lzma.FILTER_SPARC,
}
_NAMES = {b"\x03\x04\x01": "PPMd", b"\x03\x03\x01\x1b": "BCJ2", b"\x04\x01\x09": "Deflate64"}
_UNKNOWN = "a method that is not known here"
_UNIX, _REPARSE_POINT = 0x8000, 0x400


def read_7z(data: bytes, rules: ReadingRules) -> Iterator[Member | Refused]:
    """The members, in the archive's order. What is packed together with something damaged is refused with it."""
    allowance, names = Allowance(rules), MemberNames()
    try:
        archive = _archive(data, allowance, rules)
    except _EncryptedError:
        yield Refused("encrypted", "even the names are", len(data))
        return
    except (DamagedError, TooLargeError) as error:
        yield Refused("damaged", str(error), len(data))
        return
    except UnsupportedError as error:
        yield Refused("unsupported compression", str(error), len(data))
        return
    except TooMuchError as error:
        yield Refused("unpacks to too much", str(error), len(data))
        return
    if not archive.entries:
        yield Refused("empty", "it holds no files", len(data))
        return
    try:
        yield from _members(data, archive, allowance, names, rules.max_member_bytes)
    except TooMuchError as error:
        yield Refused("unpacks to too much", str(error), 0)


class _EncryptedError(Exception):
    pass


def _archive(data: bytes, allowance: Allowance, rules: ReadingRules) -> Archive:
    if not data.startswith(SIGNATURE) or len(data) < 32:
        raise DamagedError("it does not begin as 7z files do")
    offset, size, crc = struct.unpack_from("<QQI", data, 12)
    if not size:
        return Archive()
    header = data[32 + offset : 32 + offset + size]
    if len(header) < size or zlib.crc32(header) != crc:
        raise DamagedError("it has lost its directory, which stands at the end")
    archive = parse_header(header, rules.max_members)
    while archive.is_packed:
        if len(archive.folders) != 1:
            raise DamagedError("a header in several folders")
        header = allowance.collect(_unpacked(data, archive.folders[0]))
        archive = parse_header(header, rules.max_members)
    return archive


def _members(
    data: bytes, archive: Archive, allowance: Allowance, names: MemberNames, largest: int
) -> Iterator[Member | Refused]:
    contents = _contents(data, archive.folders, allowance, largest)
    for number, entry in enumerate(archive.entries, start=1):
        if entry.is_folder:
            continue
        allowance.member()
        content = next(contents, Refused("damaged", "it has no bytes", 0)) if entry.holds else b""
        special = _special(entry)
        try:
            name = names.add(entry.name, windows=True)
        except UnsafeNameError as error:
            yield Refused(error.reason, str(error), 0, f"!#{number}")
            continue
        if special:
            yield Refused("not a regular file", special, 0, member_anchor(name))
        elif isinstance(content, Refused):
            yield Refused(content.reason, content.detail, 0, member_anchor(name))
        else:
            yield Member(name, content, entry.modified)


def _special(entry: Entry) -> str:
    if entry.attributes & _REPARSE_POINT or (entry.attributes & _UNIX and stat.S_ISLNK(entry.attributes >> 16)):
        return "a symbolic link"
    mode = entry.attributes >> 16 if entry.attributes & _UNIX else 0
    return "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISFIFO(mode) else ""


def _contents(data: bytes, folders: list[Folder], allowance: Allowance, largest: int) -> Iterator[bytes | Refused]:
    for folder in folders:
        damage: Refused | None = None
        stream = None
        try:
            stream = CountedStream(_unpacked(data, folder), allowance)
        except _EncryptedError:
            damage = Refused("encrypted", "", 0)
        except UnsupportedError as error:
            damage = Refused("unsupported compression", str(error), 0)
        except DamagedError as error:
            damage = Refused("damaged", str(error), 0)
        for size, crc in folder.streams:
            if damage is None and stream is not None:
                try:
                    if size > largest:
                        stream.skip(size)
                        yield Refused("too large", f"{size} bytes; see max_member_bytes", 0)
                        continue
                    content = stream.read(size)
                except DamagedError as error:
                    damage = Refused("damaged", str(error), 0)
                else:
                    right = crc is None or zlib.crc32(content) == crc
                    yield content if right else Refused("damaged", "its checksum is wrong", 0)
                    continue
            if damage is not None:
                yield damage


def _unpacked(data: bytes, folder: Folder) -> Iterator[bytes]:
    if _ENCRYPTION in folder.methods:
        raise _EncryptedError
    if not folder.coders:
        raise UnsupportedError(", ".join(sorted(_NAMES.get(one, _UNKNOWN) for one in folder.methods)))
    if folder.start + folder.packed > len(data):
        raise DamagedError("the file ends before it")
    packed = memoryview(data)[folder.start : folder.start + folder.packed]
    first, *rest = folder.coders
    if first.method in _FILTERS or first.method == b"\x03":
        rest = list(folder.coders)
        pieces: Iterable[bytes] = _copied(packed)
    else:
        pieces = _first(first, packed)
    pieces = _cut(pieces, first.size)
    for coder in rest:
        pieces = _cut(_filtered(coder, pieces), coder.size)
    return iter(pieces)


def _first(coder: Coder, packed: memoryview) -> Iterable[bytes]:
    match coder.method:
        case b"\x00" | b"":
            return _copied(packed)
        case b"\x03\x01\x01":
            return unlzma(packed, coder.properties, coder.size, ended=False)
        case b"\x21":
            return unlzma2(packed, coder.properties, coder.size)
        case b"\x04\x01\x08":
            return inflate(packed)
        case b"\x04\x02\x02":
            return bunzip(packed)
        case b"\x04\xf7\x11\x01":
            return unzstd(packed)
    raise UnsupportedError(_NAMES.get(coder.method, _UNKNOWN))


def _copied(packed: memoryview) -> Iterator[bytes]:
    return (bytes(packed[start : start + PIECE]) for start in range(0, len(packed), PIECE))


def _cut(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """No more than was declared: a stream that does not say where it ends goes on with what follows."""
    for piece in pieces:
        yield piece[:size]
        size -= len(piece)
        if size <= 0:
            return


def _filtered(coder: Coder, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """What a filter makes of unpacked bytes.

    The standard library has the filters, but only before LZMA. So the bytes are written as chunks of LZMA2 that are
    not compressed: three bytes, of which two are the length less one, before each.
    """
    filter_: dict[str, Any]
    if coder.method == b"\x03":
        filter_ = {"id": lzma.FILTER_DELTA, "dist": coder.properties[0] + 1 if coder.properties else 1}
    elif coder.method in _FILTERS:
        filter_ = {"id": _FILTERS[coder.method]}
    else:
        raise UnsupportedError(_NAMES.get(coder.method, f"{_UNKNOWN} after another one"))
    stored = {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}
    return _through(lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[filter_, stored]), pieces)


def _through(decompressor: lzma.LZMADecompressor, pieces: Iterable[bytes]) -> Iterator[bytes]:
    control = b"\x01"
    for piece in pieces:
        for start in range(0, len(piece), 1 << 16):
            chunk = piece[start : start + (1 << 16)]
            yield decompressor.decompress(control + struct.pack(">H", len(chunk) - 1) + chunk)
            control = b"\x02"
    yield decompressor.decompress(b"\x00")
