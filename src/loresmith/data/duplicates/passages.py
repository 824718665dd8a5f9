"""Where the paragraphs and lines of texts are, and a hash of each, computed over whole batches of text at once.

A line ends with a line feed, and a paragraph with a line that is blank; white space (ASCII) before and after either
does not belong to it. The hash of a passage is a polynomial of its bytes modulo 2**64 (Karp and Rabin, "Efficient
randomized pattern-matching algorithms", 1987), from the difference of two running sums; of a passage above a kilobyte,
for which such polynomials have known collisions, it is BLAKE2b.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loresmith.data.mixing import mix, mix_in_place

Unit = Literal["document", "paragraph", "line"]

_TOGETHER = 1 << 19  # bytes looked at together
_LONG = 1024
_BASE = 0xD1342543DE82EF95  # odd, so that it has an inverse modulo 2**64
_LINE_FEED = 10


@dataclass(frozen=True)
class Passages:
    """Passages of some texts, in their order; legend: N passages.

    Attributes:
        hashes: (N,) of the bytes of each.
        owners: (N,) the place of its text among the texts.
        starts, ends: (N,) its first character in that text, and the one after its last.
        bytes: (N,) how long it is in UTF-8.
    """

    hashes: NDArray[np.uint64]
    owners: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    bytes: NDArray[np.int64]


def passages(texts: Sequence[str], unit: Unit, minimum_bytes: int) -> Iterator[Passages]:
    """The passages of texts that are long enough, some texts at a time. A document that is blank has none."""
    first, size = 0, 0
    together: list[bytes] = []
    for number, text in enumerate(texts):
        encoded = text.encode()
        if together and size + len(encoded) > _TOGETHER:
            yield _passages(together, first, unit, minimum_bytes)
            first, size, together = number, 0, []
        together.append(encoded)
        size += len(encoded)
    if together:
        yield _passages(together, first, unit, minimum_bytes)


def _passages(texts: Sequence[bytes], first: int, unit: Unit, minimum_bytes: int) -> Passages:
    data = b"\n".join([b"", *texts, b""])
    codes = np.frombuffer(data, dtype=np.uint8)
    text_ends = np.cumsum([len(text) + 1 for text in texts])  # where the line feed after each text is
    starts, ends = _bounds(codes, text_ends, unit)
    long_enough = ends - starts >= minimum_bytes
    starts, ends = starts[long_enough], ends[long_enough]
    owners = np.searchsorted(text_ends, starts)
    begins = np.r_[1, text_ends[:-1] + 1][owners]
    hashes = _hashes(data, codes, starts, ends)
    if data.isascii():
        return Passages(hashes, owners + first, starts - begins, ends - begins, ends - starts)
    characters = np.cumsum((codes & 0xC0) != 0x80)  # up to and with each byte
    before = characters[begins - 1]
    first_characters, after = characters[starts - 1] - before, characters[ends - 1] - before
    return Passages(hashes, owners + first, first_characters, after, ends - starts)


def _bounds(
    codes: NDArray[np.uint8], text_ends: NDArray[np.intp], unit: Unit
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first byte of each passage and the one after its last."""
    ink = np.flatnonzero(_ink()[codes])
    if not len(ink):
        return ink, ink
    line_ends = text_ends if unit == "document" else np.flatnonzero(codes == _LINE_FEED)
    upto = np.searchsorted(ink, line_ends)  # how much ink there is before each line's end
    counts = np.diff(upto, prepend=0)
    inked = np.flatnonzero(counts)
    first, last = (upto - counts)[inked], upto[inked] - 1
    if unit == "paragraph":
        # A line goes on with the paragraph of the line before it if that has ink and is of the same text.
        text = np.searchsorted(text_ends, line_ends[inked])
        begins = np.r_[True, (np.diff(inked) > 1) | (np.diff(text) > 0)]
        first, last = first[begins], last[np.r_[begins[1:], True]]
    return ink[first], ink[last] + 1


def _hashes(
    data: bytes, codes: NDArray[np.uint8], starts: NDArray[np.intp], ends: NDArray[np.intp]
) -> NDArray[np.uint64]:
    if not len(starts):
        return np.empty(0, dtype=np.uint64)
    long = np.flatnonzero(ends - starts > _LONG)
    if len(long) == len(starts):
        hashes = np.empty(len(starts), dtype=np.uint64)
    else:
        powers, inverses = _powers(max(1 << 20, 1 << (len(codes) - 1).bit_length()))
        sums = _mixed()[codes]
        sums *= powers[: len(codes)]
        np.cumsum(sums, out=sums)
        hashes = sums[ends - 1]
        hashes -= sums[starts - 1]
        hashes *= inverses[starts]
        hashes += (ends - starts).astype(np.uint64)
        mix_in_place(hashes)
    for number in long.tolist():
        digest = hashlib.blake2b(data[starts[number] : ends[number]], digest_size=8).digest()
        hashes[number] = int.from_bytes(digest, "little")
    return hashes


@lru_cache(maxsize=1)
def _ink() -> NDArray[np.bool_]:
    """For every byte whether it is anything but white space."""
    return ~np.isin(np.arange(256), list(b" \t\n\r\v\f"))


@lru_cache(maxsize=1)
def _mixed() -> NDArray[np.uint64]:
    return mix(np.arange(1, 257, dtype=np.uint64))


@lru_cache(maxsize=1)
def _powers(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The powers 0 to count - 1 of an odd number and of its inverse, modulo 2**64."""
    numbers = np.array([[_BASE], [pow(_BASE, -1, 1 << 64)]], dtype=np.uint64).repeat(count, axis=1)
    numbers[:, 0] = 1
    powers, inverses = np.cumprod(numbers, axis=1, dtype=np.uint64)
    return powers, inverses
