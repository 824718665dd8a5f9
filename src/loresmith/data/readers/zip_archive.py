"""Zip files: each member is a file of its own. Nothing is believed that the archive says of their sizes."""

from __future__ import annotations

import stat
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice

from loresmith.data.readers.member_names import MemberNames, UnsafeNameError, member_anchor
from loresmith.data.readers.record import Member, ReadingRules, Refused
from loresmith.data.readers.unpacking import (
    Allowance,
    DamagedError,
    TooLargeError,
    TooMuchError,
    UnsupportedError,
    bunzip,
    inflate,
    unlzma,
    unxz_all,
    unzstd,
)
from loresmith.data.readers.zip_directory import ZipEntry, central_directory, data_of, local_headers

_SPECIAL = {stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
_SPECIAL |= {stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def read_zip(data: bytes, rules: ReadingRules) -> Iterator[Member | Refused]:
    """The members, in the directory's order; those that are no files or cannot be read are refused by name.

    Members that share bytes are refused: that is how a small file claims to hold any amount. A zip file without its
    directory is read by the headers of its members as far as they go, and the rest is refused as damaged.
    """
    damage = ""
    entries: list[ZipEntry] = []
    try:
        entries.extend(islice(central_directory(data), rules.max_members + 1))
    except DamagedError as error:
        damage = str(error)
        entries = entries or list(islice(local_headers(data), rules.max_members + 1))
    allowance, names, shared = Allowance(rules), MemberNames(), _sharing(data, entries)
    if not entries:
        yield Refused("damaged" if damage else "empty", damage or "it holds no files", len(data))
        return
    try:
        for number, entry in enumerate(entries, start=1):
            if entry.name.endswith("/") and not entry.size:
                continue
            allowance.member()
            try:
                name = names.add(entry.name, windows=True)
            except UnsafeNameError as error:
                yield Refused(error.reason, str(error), 0, f"!#{number}")
            else:
                yield _member(data, entry, allowance, name, entry.start in shared)
    except TooMuchError as error:
        yield Refused("unpacks to too much", str(error), 0)
        return
    if damage:
        yield Refused("damaged", damage, 0)


def _member(data: bytes, entry: ZipEntry, allowance: Allowance, name: str, shared: bool) -> Member | Refused:
    def refused(reason: str, detail: str) -> Refused:
        return Refused(reason, detail, 0, member_anchor(name))

    special = _SPECIAL.get(stat.S_IFMT(entry.mode))
    if special:
        return refused("not a regular file", special)
    if entry.encrypted:
        return refused("encrypted", f"{entry.size} bytes by its own account")
    if shared:
        return refused("overlapping members", "it shares its bytes with another one")
    try:
        content = allowance.collect(_unpacked(data, entry))
    except DamagedError as error:
        return refused("damaged", str(error))
    except UnsupportedError as error:
        return refused("unsupported compression", str(error))
    except TooLargeError as error:
        return refused("too large", str(error))
    if entry.crc >= 0 and (len(content) != entry.size or zlib.crc32(content) != entry.crc):
        return refused("damaged", "its checksum is wrong")
    return Member(name, content, entry.modified)


def _unpacked(data: bytes, entry: ZipEntry) -> Iterable[bytes]:
    start, end = data_of(data, entry)
    packed = memoryview(data)[start:end]
    match entry.method:
        case 0 if entry.packed >= 0:
            return (bytes(packed),)
        case 8:
            return inflate(packed)
        case 12:
            return bunzip(packed)
        case 14:
            size = int.from_bytes(packed[2:4], "little")
            properties, stream = bytes(packed[4 : 4 + size]), packed[4 + size :]
            return unlzma(stream, properties, entry.size, ended=entry.ended)
        case 93:
            return unzstd(packed)
        case 95:
            return unxz_all(packed)
    raise UnsupportedError(f"method {entry.method}" if entry.method else "its length is not known")


def _sharing(data: bytes, entries: list[ZipEntry]) -> set[int]:
    """Where those members begin that have a byte in common with another one."""
    spans = []
    for entry in entries:
        try:
            _, end = data_of(data, entry)
        except DamagedError:
            continue
        spans.append((entry.start, end if entry.packed >= 0 else entry.start + 1))
    spans.sort()
    shared: set[int] = set()
    reach, owner = -1, -1
    for start, end in spans:
        if start < reach:
            shared |= {start, owner}
        if end > reach:
            reach, owner = end, start
    return shared
