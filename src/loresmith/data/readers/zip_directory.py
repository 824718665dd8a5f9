"""What a zip file says it holds (PKWARE's APPNOTE 6.3.10): its central directory, or the headers between the data."""

from __future__ import annotations

import calendar
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from loresmith.data.readers.unpacking import DamagedError

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT = 0xFFFF
_UTF8, _ENCRYPTED, _DESCRIPTOR, _MASKED = 1 << 11, 1 << 0, 1 << 3, 1 << 13


@dataclass(frozen=True)
class ZipEntry:
    """One member as it is declared.

    Attributes:
        name: with undecodable bytes as lone surrogates.
        method: how it is packed, as APPNOTE 4.4.5 numbers the methods.
        start: the first byte of its local header.
        packed: its bytes in the zip file; -1 when they are not declared.
        size: its bytes when unpacked.
        modified: seconds since 1970; 0 when that is not known.
        mode: its Unix mode; 0 when it has none.
    """

    name: str
    method: int
    start: int
    packed: int
    size: int
    crc: int
    encrypted: bool
    ended: bool
    modified: float
    mode: int


def central_directory(data: bytes) -> Iterator[ZipEntry]:
    """The members, in the directory's order.

    Raises:
        DamagedError: there is no directory, or none from there on.
    """
    entries, position, end, shift = _end_of_directory(data)
    done = 0
    while position < end:
        if data[position : position + 4] != b"PK\x01\x02" or position + _CENTRAL.size > len(data):
            raise DamagedError(f"no entry of the directory at byte {position}")
        entry, position = _central_entry(data, position, shift)
        done += 1
        yield entry
    if (entries - done) % 0x10000:  # programs that know no Zip64 count so
        raise DamagedError(f"its directory holds {done} entries and says {entries}")


def local_headers(data: bytes) -> Iterator[ZipEntry]:
    """The members of a zip file that has lost its directory, as far as their headers tell."""
    position = data.find(b"PK\x03\x04")
    while position >= 0 and position + _LOCAL.size <= len(data):
        _, _, flags, method, time, date, crc, packed, size, name_size, extra_size = _LOCAL.unpack_from(data, position)
        after = position + _LOCAL.size + name_size
        name, extra = data[after - name_size : after], data[after : after + extra_size]
        unknown = bool(flags & _DESCRIPTOR) and not packed
        entry = ZipEntry(
            name=_text(name, bool(flags & _UTF8)),
            method=method,
            start=position,
            packed=-1 if unknown else packed,
            size=size,
            crc=-1 if unknown else crc,
            encrypted=bool(flags & (_ENCRYPTED | _MASKED)) or method == 99,
            ended=method != 14 or bool(flags & 2),
            modified=_modified(date, time, extra),
            mode=0,
        )
        entry = _with_wide_sizes(entry, extra)
        yield entry
        position = data.find(b"PK\x03\x04", after + extra_size + max(entry.packed, 0))


def data_of(data: bytes, entry: ZipEntry) -> tuple[int, int]:
    """Where a member's packed bytes begin and end in the zip file.

    Raises:
        DamagedError: not within it.
    """
    if entry.start < 0 or entry.start + _LOCAL.size > len(data) or data[entry.start : entry.start + 4] != b"PK\x03\x04":
        raise DamagedError("the directory points to no member")
    *_, name_size, extra_size = _LOCAL.unpack_from(data, entry.start)
    start = entry.start + _LOCAL.size + name_size + extra_size
    end = start + entry.packed if entry.packed >= 0 else len(data)
    if end > len(data):
        raise DamagedError("the file ends before it")
    return start, end


def _end_of_directory(data: bytes) -> tuple[int, int, int, int]:
    """The number of entries, where the directory begins and ends, and by how much offsets are short.

    Something may stand before a zip file, such as the program that unpacks it, which no offset in it counts.
    """
    at = data.rfind(b"PK\x05\x06", max(0, len(data) - _LONGEST_COMMENT - _END.size))
    if at < 0 or at + _END.size > len(data):
        raise DamagedError("it has lost its directory, which stands at the end")
    _, disk, first_disk, _, entries, size, offset, _ = _END.unpack_from(data, at)
    locator = at - _LOCATOR_64.size
    if locator >= 0 and data[locator : locator + 4] == b"PK\x06\x07":
        end_64 = locator - _END_64.size
        if end_64 >= 0 and data[end_64 : end_64 + 4] == b"PK\x06\x06":
            _, _, _, _, disk, first_disk, _, entries, size, offset = _END_64.unpack_from(data, end_64)
            at = end_64
    if disk not in (0, 0xFFFF) or first_disk not in (0, 0xFFFF):
        raise DamagedError("it is one part of several")
    start = at - size
    if start < 0 or offset > start:
        raise DamagedError("its directory does not stand where it says")
    return entries, start, at, start - offset


def _central_entry(data: bytes, position: int, shift: int) -> tuple[ZipEntry, int]:
    _, made_by, _, flags, method, time, date, crc, packed, size, *rest = _CENTRAL.unpack_from(data, position)
    name_size, extra_size, comment_size, _, _, attributes, offset = rest
    at = position + _CENTRAL.size
    name, extra = data[at : at + name_size], data[at + name_size : at + name_size + extra_size]
    entry = ZipEntry(
        name=_text(name, bool(flags & _UTF8)),
        method=method,
        start=offset,
        packed=packed,
        size=size,
        crc=crc,
        encrypted=bool(flags & (_ENCRYPTED | _MASKED)) or method == 99,
        ended=method != 14 or bool(flags & 2),
        modified=_modified(date, time, extra),
        mode=attributes >> 16 if made_by >> 8 in (3, 19) else 0,
    )
    entry = _with_wide_sizes(entry, extra)
    return replace(entry, start=entry.start + shift), at + name_size + extra_size + comment_size


def _text(name: bytes, utf8: bool) -> str:
    """UTF-8, or if it is none and does not say that it is, code page 437."""
    if utf8:
        return name.decode(errors="surrogateescape")
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("cp437")


def _fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, position)
        yield kind, extra[position + 4 : position + 4 + size]
        position += 4 + size


def _with_wide_sizes(entry: ZipEntry, extra: bytes) -> ZipEntry:
    """Zip64: what does not fit into 32 bits stands in an extra field, in a fixed order."""
    wide = ("size", "packed", "start")
    missing = [name for name in wide if getattr(entry, name) == 0xFFFFFFFF]
    for kind, value in _fields(extra) if missing else ():
        if kind == 1:
            found = (number for (number,) in struct.iter_unpack("<Q", value[: len(value) // 8 * 8]))
            return replace(entry, **dict(zip(missing, found, strict=False)))
    return entry


def _modified(date: int, time: int, extra: bytes) -> float:
    """A Unix time where there is one; else that of DOS, which knows no time zone and is taken for UTC."""
    for kind, value in _fields(extra):
        if kind == 0x5455 and len(value) >= 5 and value[0] & 1:
            return float(struct.unpack_from("<i", value, 1)[0])
    year, month, day = (date >> 9) + 1980, date >> 5 & 15, date & 31
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        return 0.0
    return float(calendar.timegm((year, month, day, time >> 11, time >> 5 & 63, (time & 31) * 2)))
