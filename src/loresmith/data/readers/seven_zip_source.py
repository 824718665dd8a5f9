"""The bytes of a 7z header, and the numbers in them."""

from __future__ import annotations

import struct


class Source:
    """Reads from front to end. Where there is less than is asked for, all raise IndexError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """The next byte."""
        self._at += 1
        return self._data[self._at - 1]

    def take(self, size: int) -> bytes:
        """So many bytes."""
        part = self._data[self._at : self._at + size]
        if len(part) < size:
            raise IndexError
        self._at += size
        return part

    def rest(self) -> bytes:
        """All that is left, which stays there."""
        return self._data[self._at :]

    def number(self) -> int:
        """As many leading ones in the first byte as bytes follow; the rest of it is the highest part."""
        first = self.byte()
        following = next((bit for bit in range(8) if not first & 0x80 >> bit), 8)
        low = int.from_bytes(self.take(following), "little")
        return low | (first & (0x7F >> following)) << 8 * following

    def bits(self, count: int) -> list[bool]:
        """A bit for each of so many things, in whole bytes."""
        packed = self.take((count + 7) // 8)
        return [bool(packed[index // 8] & 0x80 >> index % 8) for index in range(count)]

    def optional_bits(self, count: int) -> list[bool]:
        """The same, unless a byte says that all are set."""
        return [True] * count if self.byte() else self.bits(count)

    def checksums(self, count: int) -> list[int | None]:
        """A CRC-32 for each of so many things that have one."""
        self.require(count)
        return [struct.unpack("<I", self.take(4))[0] if there else None for there in self.optional_bits(count)]

    def require(self, count: int) -> None:
        """That so many things, of a bit at least, may still come: a count is not believed."""
        if count > 8 * (len(self._data) - self._at):
            raise IndexError
