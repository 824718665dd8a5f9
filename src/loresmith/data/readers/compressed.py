"""Files that were compressed as a whole (gzip, bzip2, xz, Zstandard), and the tar files among them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from loresmith.data.readers.record import Member, ReadingRules, Refused
from loresmith.data.readers.tar_archive import BLOCK, is_tar_header, members_of_tar
from loresmith.data.readers.unpacking import (
    Allowance,
    DamagedError,
    TooLargeError,
    TooMuchError,
    bunzip_all,
    gunzip_all,
    unxz_all,
    unzstd,
)

_UNPACK: tuple[tuple[bytes, Callable[[memoryview], Iterator[bytes]]], ...] = (
    (b"\x1f\x8b", gunzip_all),
    (b"BZh", bunzip_all),
    (b"\xfd7zXZ\0", unxz_all),
    (b"\x28\xb5\x2f\xfd", unzstd),
)


def read_compressed(data: bytes, rules: ReadingRules) -> Iterator[Member | Refused]:
    """The file that was compressed, or if that is a tar file its members.

    The one file has no name, unless gzip kept it: `member_path` makes one of the outer name.
    """
    unpack = next((unpack for signature, unpack in _UNPACK if data.startswith(signature)), None)
    if unpack is None:
        yield Refused("damaged", "it does not begin as compressed files do", len(data))
        return
    pieces = _Pieces(unpack(memoryview(data)))
    try:
        head = pieces.peek(BLOCK)
    except DamagedError as error:
        yield Refused("damaged", str(error), len(data))
        return
    if is_tar_header(head):
        yield from members_of_tar(pieces, rules)
        return
    try:
        content = Allowance(rules).collect(pieces)
    except DamagedError as error:
        yield Refused("damaged", str(error), len(data))
    except TooLargeError as error:
        yield Refused("too large", str(error), len(data))
    except TooMuchError as error:
        yield Refused("unpacks to too much", str(error), len(data))
    else:
        yield Member("", content, _gzip_time(data))


class _Pieces:
    """Pieces of bytes of which the first ones can be looked at."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._head = b""

    def peek(self, size: int) -> bytes:
        while len(self._head) < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._head += piece
        return self._head[:size]

    def __iter__(self) -> Iterator[bytes]:
        if self._head:
            yield self._head
        yield from self._pieces


def _gzip_time(data: bytes) -> float:
    return float(struct.unpack_from("<I", data, 4)[0]) if data.startswith(b"\x1f\x8b") else 0.0
