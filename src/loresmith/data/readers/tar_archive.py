"""Tar files (POSIX ustar and pax, GNU, and the older ones): read once, from front to end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from loresmith.data.readers.member_names import MemberNames, UnsafeNameError, member_anchor
from loresmith.data.readers.record import Member, ReadingRules, Refused
from loresmith.data.readers.unpacking import PIECE, Allowance, CountedStream, DamagedError, TooMuchError

BLOCK = 512
_LARGEST_HEADER = 1 << 20  # bytes of a pax header or a long name
_FILES = b"07\0"
_SPECIAL = {
    ord("1"): "a hard link",
    ord("2"): "a symbolic link",
    ord("3"): "a device",
    ord("4"): "a device",
    ord("6"): "a FIFO",
}
_LONG_NAME, _LONG_LINK, _PAX, _PAX_OF_ALL, _FOLDER, _SPARSE = b"LKxg5S"
_OCTAL = re.compile(rb"[0-7]*")
_PAX_RECORD = re.compile(rb"(\d{1,20}) ([^=]+)=")


def read_tar(data: bytes, rules: ReadingRules) -> Iterator[Member | Refused]:
    """The members; links, devices and sparse files are refused by name. See `members_of_tar`."""
    view = memoryview(data)
    yield from members_of_tar((bytes(view[start : start + PIECE]) for start in range(0, len(data), PIECE)), rules)


def is_tar_header(block: bytes) -> bool:
    """Whether a block begins a tar file: its checksum is right, as no text's is by chance."""
    return len(block) == BLOCK and any(block) and _checksum_is_right(block)


def members_of_tar(pieces: Iterable[bytes], rules: ReadingRules) -> Iterator[Member | Refused]:
    """The members of a tar file that comes piece by piece; after damage, one refusal for the rest of it."""
    allowance, names = Allowance(rules), MemberNames()
    stream = CountedStream(pieces, allowance)
    members = 0
    try:
        while header := _next_header(stream):
            if header.kind == _FOLDER or (header.kind in _FILES and header.name.endswith("/")):
                _skip(stream, header.size)
                continue
            allowance.member()
            members += 1
            yield _member(stream, header, names, rules.max_member_bytes, members)
    except DamagedError as error:
        yield Refused("damaged", str(error), 0)
    except TooMuchError as error:
        yield Refused("unpacks to too much", str(error), 0)
    else:
        if not members:
            yield Refused("empty", "it holds no files", 0)


@dataclass(frozen=True)
class _Header:
    name: str
    kind: int
    size: int
    modified: float
    special: str


def _member(stream: CountedStream, header: _Header, names: MemberNames, largest: int, number: int) -> Member | Refused:
    try:
        name = names.add(header.name)
    except UnsafeNameError as error:
        _skip(stream, header.size)
        return Refused(error.reason, str(error), 0, f"!#{number}")
    if header.special:
        _skip(stream, header.size)
        return Refused("not a regular file", header.special, 0, member_anchor(name))
    if header.size > largest:
        _skip(stream, header.size)
        return Refused("too large", f"{header.size} bytes; see max_member_bytes", 0, member_anchor(name))
    return Member(name, _content(stream, header.size), header.modified)


def _content(stream: CountedStream, size: int) -> bytes:
    content = stream.read(size)
    stream.skip(-size % BLOCK)
    return content


def _skip(stream: CountedStream, size: int) -> None:
    stream.skip(size + -size % BLOCK)


def _next_header(stream: CountedStream) -> _Header | None:
    """The next member's header, with what the headers before it say of it; None at the end.

    Raises:
        DamagedError: there is none where one should be.
    """
    said: dict[bytes, bytes] = {}
    while not stream.at_end():
        block = stream.read(BLOCK)
        if not any(block):
            return None
        if not _checksum_is_right(block):
            raise DamagedError("a header with a wrong checksum")
        kind, size = block[156], _number(block[124:136])
        if kind in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_OF_ALL):
            if size > _LARGEST_HEADER:
                raise DamagedError(f"a header of {size} bytes")
            content = _content(stream, size)
            if kind == _LONG_NAME:
                said[b"path"] = content.split(b"\0", 1)[0]
            elif kind == _PAX:
                said |= _pax_records(content)
            continue
        return _header(block, kind, size, said)
    return None


def _header(block: bytes, kind: int, size: int, said: dict[bytes, bytes]) -> _Header:
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0]
    if prefix and block[257:263] == b"ustar\0":
        name = prefix + b"/" + name
    special = _SPECIAL.get(kind, "")
    if kind == _SPARSE or any(key.startswith(b"GNU.sparse.") for key in said):
        special = "a sparse file"
    elif not special and kind not in (*_FILES, _FOLDER):
        special = f"of type {kind}"
    if kind in _SPECIAL and kind != ord("1"):
        size = 0  # as tar programs have it, whatever the header says
    if b"size" in said:
        size = _decimal(said[b"size"])
    try:
        modified = float(said.get(b"mtime", b""))
    except ValueError:
        modified = float(_number(block[136:148]))
    path = said.get(b"path", name).decode(errors="surrogateescape")
    return _Header(path, kind, size, modified if abs(modified) < 1 << 40 else 0.0, special)


def _checksum_is_right(block: bytes) -> bool:
    rest = block[:148] + b" " * 8 + block[156:]
    try:
        stated = _number(block[148:156])
    except DamagedError:
        return False
    return stated in (sum(rest), sum(byte - (byte >> 7 << 8) for byte in rest))  # old programs took bytes as signed


def _number(field: bytes) -> int:
    """Octal digits, or if the first bit is set a big-endian number in base 256 (GNU)."""
    if field[0] & 0x80:
        if field[0] != 0x80:
            return 0  # negative: a time before 1970
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0", 1)[0].strip()
    if not _OCTAL.fullmatch(digits):
        raise DamagedError("no number in a header")
    return int(digits or b"0", 8)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise DamagedError("no size in a header")
    return int(digits)


def _pax_records(content: bytes) -> dict[bytes, bytes]:
    records, position = {}, 0
    while record := _PAX_RECORD.match(content, position):
        end = position + int(record[1])
        if not record.end() < end <= len(content):
            raise DamagedError("a pax header that does not add up")
        records[record[2]] = content[record.end() : end - 1]
        position = end
    return records
