"""Unpacking without trust: piece by piece, and what counts is what comes out, not what was declared."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from loresmith.data.readers.complaint import complaint
from loresmith.data.readers.record import ReadingRules

PIECE = 1 << 18
_INPUT = 1 << 16
_LARGEST_DICTIONARY = 1 << 28  # bytes of memory that unpacking one stream may take; xz -9 takes 64 MiB


class DamagedError(Exception):
    """What is packed cannot be unpacked as it says."""


class UnsupportedError(Exception):
    """It is packed in a way that nobody here unpacks."""


class TooMuchError(Exception):
    """All that was unpacked together is more than the rules allow."""


class TooLargeError(Exception):
    """One member is more than the rules allow."""


class Allowance:
    """What one file may still unpack to."""

    def __init__(self, rules: ReadingRules) -> None:
        self._rules = rules
        self._bytes = rules.max_unpacked_bytes
        self._members = rules.max_members

    def member(self) -> None:
        """Count a member.

        Raises:
            TooMuchError: there were as many as are allowed.
        """
        if self._members <= 0:
            raise TooMuchError(f"more than {self._rules.max_members} members; see max_members")
        self._members -= 1

    def count(self, size: int) -> None:
        """Count bytes that were unpacked.

        Raises:
            TooMuchError: there were as many as are allowed.
        """
        self._bytes -= size
        if self._bytes < 0:
            raise TooMuchError(f"more than {self._rules.max_unpacked_bytes} bytes; see max_unpacked_bytes")

    def collect(self, pieces: Iterable[bytes]) -> bytes:
        """One member's bytes, of pieces that are counted here.

        Raises:
            TooLargeError: the pieces were not all taken.
            TooMuchError: likewise.
        """
        held, size = [], 0
        for piece in pieces:
            self.count(len(piece))
            size += len(piece)
            if size > self._rules.max_member_bytes:
                raise TooLargeError(f"more than {self._rules.max_member_bytes} bytes; see max_member_bytes")
            held.append(piece)
        return b"".join(held)


class CountedStream:
    """Reads of given length from pieces of any length, which are counted as they come."""

    def __init__(self, pieces: Iterable[bytes], allowance: Allowance) -> None:
        self._pieces = iter(pieces)
        self._allowance = allowance
        self._held = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Exactly so many bytes.

        Raises:
            DamagedError: there are fewer.
            TooMuchError: they are more than the rules allow.
        """
        return b"".join(self._take(size))

    def skip(self, size: int) -> None:
        """Leave out so many bytes; errors as for `read`."""
        for _ in self._take(size):
            pass

    def at_end(self) -> bool:
        """Whether there is nothing more to read."""
        return not self._fill()

    def _take(self, size: int) -> Iterator[memoryview]:
        while size:
            if not self._fill():
                raise DamagedError("it ends in the middle of a member")
            part, self._held = self._held[:size], self._held[size:]
            size -= len(part)
            yield part

    def _fill(self) -> bool:
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._allowance.count(len(piece))
            self._held = memoryview(piece)
        return True


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Inflate:
    """zlib's decompressor with the manners of the others: it keeps what it has not used."""

    def __init__(self, window: int) -> None:
        self._inflate = zlib.decompressobj(window)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)


class Packed:
    """One packed stream within bytes; iterating unpacks it.

    Attributes:
        end: where in the bytes the stream ended; known once it was iterated to its end.
    """

    def __init__(self, data: memoryview, start: int, decompressor: _Decompressor, *, ended: bool = True) -> None:
        self._data = data
        self._decompressor = decompressor
        self._ended = ended
        self.end = start

    def __iter__(self) -> Iterator[bytes]:
        """Pieces of at most `PIECE` bytes.

        Raises:
            DamagedError: after the pieces that could be unpacked.
        """
        decompressor, fed = self._decompressor, self.end
        try:
            while not decompressor.eof:
                given = bytes(self._data[fed : fed + _INPUT]) if decompressor.needs_input else b""
                fed += len(given)
                piece = decompressor.decompress(given, PIECE)
                if piece:
                    yield piece
                elif not given and decompressor.needs_input:
                    break
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
            raise DamagedError(complaint(error)) from None
        if self._ended and not decompressor.eof:
            raise DamagedError("it ends in the middle")
        self.end = fed - len(decompressor.unused_data)


def inflate(data: memoryview, start: int = 0) -> Packed:
    """Raw DEFLATE (RFC 1951)."""
    return Packed(data, start, _Inflate(-15))


def bunzip(data: memoryview, start: int = 0) -> Packed:
    """One bzip2 stream."""
    return Packed(data, start, bz2.BZ2Decompressor())


def unlzma(data: memoryview, properties: bytes, largest: int, *, ended: bool) -> Packed:
    """A raw LZMA stream with the five bytes of properties that stand before it.

    Args:
        largest: what it may unpack to at most, in bytes: no dictionary need be larger.
        ended: whether the stream says itself where it ends.

    Raises:
        DamagedError: the properties are none.
    """
    if len(properties) != 5 or properties[0] >= 9 * 5 * 5:
        raise DamagedError("no properties of LZMA")
    rest, lc = divmod(properties[0], 9)
    pb, lp = divmod(rest, 5)
    (dictionary,) = struct.unpack_from("<I", properties, 1)
    options = {"dict_size": _dictionary(dictionary, largest), "lc": lc, "lp": lp, "pb": pb}
    return _raw_lzma(data, {"id": lzma.FILTER_LZMA1, **options}, ended=ended)


def unlzma2(data: memoryview, properties: bytes, largest: int) -> Packed:
    """A raw LZMA2 stream with its one byte of properties; the rest as for `unlzma`."""
    if len(properties) != 1 or properties[0] > 40:
        raise DamagedError("no properties of LZMA2")
    exponent = properties[0]
    dictionary = 0xFFFFFFFF if exponent == 40 else (2 | exponent & 1) << (exponent // 2 + 11)
    return _raw_lzma(data, {"id": lzma.FILTER_LZMA2, "dict_size": _dictionary(dictionary, largest)}, ended=True)


def _raw_lzma(data: memoryview, filter_: dict[str, Any], *, ended: bool) -> Packed:
    try:
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[filter_])
    except (lzma.LZMAError, ValueError) as error:
        raise DamagedError(complaint(error)) from None
    return Packed(data, 0, decompressor, ended=ended)


def _dictionary(declared: int, largest: int) -> int:
    size = max(min(declared, largest), 4096)
    if size > _LARGEST_DICTIONARY:
        raise UnsupportedError(f"a dictionary of {size} bytes")
    return size


def unzstd(data: memoryview) -> Iterator[bytes]:
    """All Zstandard frames in the bytes, to their end.

    Raises:
        DamagedError: after the pieces that could be unpacked.
    """
    import pyarrow

    try:
        with pyarrow.input_stream(pyarrow.py_buffer(data), compression="zstd") as stream:
            while piece := stream.read(PIECE):
                yield piece
    except (OSError, pyarrow.ArrowException) as error:
        raise DamagedError(complaint(error)) from None


def gunzip_all(data: memoryview) -> Iterator[bytes]:
    """All members of a gzip file (RFC 1952), with their checksums."""
    return _all_of(data, lambda: _Inflate(31))


def bunzip_all(data: memoryview) -> Iterator[bytes]:
    """All streams of a bzip2 file."""
    return _all_of(data, bz2.BZ2Decompressor)


def unxz_all(data: memoryview) -> Iterator[bytes]:
    """All streams of an xz file."""
    return _all_of(data, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LARGEST_DICTIONARY * 2))


def _all_of(data: memoryview, decompressor: Any) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        packed = Packed(data, position, decompressor())
        yield from packed
        position = packed.end
        while position < len(data) and not data[position]:  # tapes and disks pad with zeros
            position += 1
