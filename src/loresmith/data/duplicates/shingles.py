"""Documents as sets of shingles: hashes of every run of five words (Broder, "On the resemblance and containment of
documents", 1997), computed over whole batches of text at once.

A word is a run of letters, digits and underscores in lower case, and a Chinese or Japanese character is one of its own;
punctuation and white space do not count. A document shorter than a shingle is one shingle.

A word's hash is a polynomial of its characters modulo 2**64. The polynomial of a slice of text is the difference of two
running sums, so that no word is touched on its own (Karp and Rabin, "Efficient randomized pattern-matching algorithms",
1987).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from loresmith.data.mixing import mix, mix_in_place

SHINGLE_WORDS = 5

_PIECE = 1 << 20  # characters: a document is cut only beyond it, and no shingle crosses the cut
_TOGETHER = 1 << 18  # characters looked at together; more of them do not stay in the processor's cache
_ALONE = ((0x2E80, 0x3100), (0x31F0, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x32000))
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64


@dataclass(frozen=True)
class Shingles:
    """The shingles of some documents, or of pieces of long ones; legend: N shingles, P pieces.

    Attributes:
        hashes: (N,) those of one piece after those of the one before, as they stand in the text.
        starts: (P,) where each piece's begin; each has at least one.
        owners: (P,) the place of the piece's document in the texts, ascending, each at most once.
    """

    hashes: NDArray[np.uint32]
    starts: NDArray[np.intp]
    owners: NDArray[np.intp]


def shingles(texts: Sequence[str]) -> Iterator[Shingles]:
    """The shingles of documents, some of them at a time. Documents above a megabyte come in pieces."""
    ascii_, other = _Group(), _Group()
    for number, text in enumerate(texts):
        folded = text.lower()
        group = ascii_ if folded.isascii() else other
        for start in range(0, max(1, len(folded)), _PIECE):
            piece = folded[start : start + _PIECE]
            if group.pieces and group.size + len(piece) > _TOGETHER:
                yield group.hashed()
                group.clear()
            group.add(number, piece)
    for group in (ascii_, other):
        if group.pieces:
            yield group.hashed()


class _Group:
    """Pieces that are hashed together."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.pieces: list[str] = []
        self.owners: list[int] = []
        self.size = 0

    def add(self, owner: int, piece: str) -> None:
        self.owners.append(owner)
        self.pieces.append(piece)
        self.size += len(piece)

    def hashed(self) -> Shingles:
        words, counts = _words(self.pieces)
        words, counts = _filled_up(words, counts, self.pieces)
        rolled = words[: len(words) - SHINGLE_WORDS + 1].copy()
        mix_in_place(rolled)
        for place in range(1, SHINGLE_WORDS):
            rolled += words[place : len(words) - SHINGLE_WORDS + 1 + place]
            mix_in_place(rolled)
        rolled >>= np.uint64(32)
        # Windows that begin in one piece and end in another are no shingles.
        within = np.ones(len(rolled), dtype=bool)
        borders = np.cumsum(counts)[:-1]
        for back in range(1, SHINGLE_WORDS):
            within[borders - back] = False
        hashes = rolled.astype(np.uint32)[within]
        starts = np.cumsum(counts - SHINGLE_WORDS + 1) - (counts - SHINGLE_WORDS + 1)
        return Shingles(hashes, starts, np.asarray(self.owners, dtype=np.intp))


def _words(pieces: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """The hash of every word, and how many words each piece has."""
    joined = "\0".join(["", *pieces, ""])
    if joined.isascii():
        codes: NDArray[np.integer] = np.frombuffer(joined.encode("ascii"), dtype=np.uint8)
        borders = np.flatnonzero(np.diff(_kinds()[codes])) + 1
        starts, ends = borders[0::2], borders[1::2]
    else:
        codes = np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32)
        kinds = _kinds()[codes]
        part, alone = kinds == 1, kinds == 2
        starts = np.flatnonzero(part & ~np.r_[False, part[:-1]] | alone)
        ends = np.flatnonzero(part & ~np.r_[part[1:], False] | alone) + 1
    powers, inverses = _powers(1 << (len(codes) - 1).bit_length())
    sums = _mixed()[codes]
    sums *= powers[: len(codes)]
    np.cumsum(sums, out=sums)
    hashes = sums[ends - 1]
    hashes -= sums[starts - 1]
    hashes *= inverses[starts]
    mix_in_place(hashes)
    piece_ends = np.cumsum([len(piece) + 1 for piece in pieces])
    counts = np.diff(np.searchsorted(starts, piece_ends), prepend=0)
    return hashes, counts


def _filled_up(
    words: NDArray[np.uint64], counts: NDArray[np.intp], pieces: Sequence[str]
) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """A piece with fewer words than a shingle is filled up, and one without a word gets its characters' hash."""
    short = np.flatnonzero(counts < SHINGLE_WORDS)
    if not len(short):
        return words, counts
    missing = SHINGLE_WORDS - counts[short]
    fill = [0 if counts[piece] else _text_hash(pieces[piece]) for piece in short.tolist()]
    ends = np.cumsum(counts)[short]
    filled = np.insert(words, np.repeat(ends, missing), np.repeat(np.array(fill, dtype=np.uint64), missing))
    return filled, np.maximum(counts, SHINGLE_WORDS)


def _text_hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


@lru_cache(maxsize=1)
def _kinds() -> NDArray[np.uint8]:
    """For every code point: 0 between words, 1 part of a word, 2 a word of its own."""
    kinds = np.fromiter((chr(code).isalnum() for code in range(0x110000)), dtype=np.uint8, count=0x110000)
    kinds[ord("_")] = 1
    for first, after in _ALONE:
        kinds[first:after] *= 2
    return kinds


@lru_cache(maxsize=1)
def _mixed() -> NDArray[np.uint64]:
    """A random-looking number for every code point."""
    return mix(np.arange(0x110000, dtype=np.uint64))


@lru_cache(maxsize=1)
def _longest_powers(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The powers 1 to count of an odd number modulo 2**64, and the powers 0 to count - 1 of its inverse."""
    powers = np.cumprod(np.full(count, _BASE, dtype=np.uint64), dtype=np.uint64)
    inverses = np.full(count, pow(_BASE, -1, 1 << 64), dtype=np.uint64)
    inverses[0] = 1
    return powers, np.cumprod(inverses, dtype=np.uint64)


def _powers(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    return _longest_powers(max(count, 1 << 21))
