"""The words of texts, hashed over whole batches of text at once.

A word is a run of letters, digits and underscores, and a Chinese or Japanese character is one of its own; punctuation
and white space do not count. Texts are given in lower case.

A word's hash is a polynomial of its characters modulo 2**64. The polynomial of a slice of text is the difference of two
running sums, so that no word is touched on its own (Karp and Rabin, "Efficient randomized pattern-matching algorithms",
1987).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from loresmith.data.mixing import mix, mix_in_place

_ALONE = ((0x2E80, 0x3100), (0x31F0, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x32000))
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64


@dataclass(frozen=True)
class HashedWords:
    """The words of some texts, one text's after the other's; legend: W words, P texts.

    Attributes:
        text: the texts, joined with a character that belongs to no word, which also stands at both ends.
        hashes: (W,) of each word.
        starts, ends: (W,) its first character in `text`, and the one after its last.
        counts: (P,) how many words each text has.
    """

    text: str
    hashes: NDArray[np.uint64]
    starts: NDArray[np.intp]
    ends: NDArray[np.intp]
    counts: NDArray[np.intp]


def hashed_words(texts: Sequence[str]) -> HashedWords:
    """The words of texts; their hashes are the same in whatever company they are hashed."""
    joined = "\0".join(["", *texts, ""])
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
    powers, inverses = powers_of_base(1 << (len(codes) - 1).bit_length())
    sums = _mixed()[codes]
    sums *= powers[: len(codes)]
    np.cumsum(sums, out=sums)
    hashes = sums[ends - 1]
    hashes -= sums[starts - 1]
    hashes *= inverses[starts]
    mix_in_place(hashes)
    text_ends = np.cumsum([len(text) + 1 for text in texts])
    counts = np.diff(np.searchsorted(starts, text_ends), prepend=0)
    return HashedWords(joined, hashes, starts, ends, counts)


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


def powers_of_base(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """At least so many powers, from 1 on, of an odd number modulo 2**64, and as many, from 0 on, of its inverse."""
    return _longest_powers(max(count, 1 << 21))
