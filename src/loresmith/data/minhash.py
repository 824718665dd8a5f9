"""How similar documents are, from a short signature of each: MinHash over word shingles.

Broder, "On the resemblance and containment of documents", 1997. The share of places in which two signatures agree
estimates the Jaccard similarity of the documents' sets of shingles, with a standard error of at most 0.047.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from loresmith.data.mixing import mix

SHINGLE_WORDS = 5
HASHES = 112

_PIECE = 1 << 20  # characters looked at together; bounds the memory, and a document is cut only beyond it
_ALONE = ((0x2E80, 0x3100), (0x31F0, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x32000))


def signatures(texts: Sequence[str]) -> NDArray[np.uint32]:
    """The signatures of documents: uint32 of shape (len(texts), HASHES).

    A word is a run of letters, digits and underscores in lower case, and a Chinese or Japanese character is one of
    its own; punctuation and white space do not count. A document shorter than a shingle is one shingle.
    """
    result = np.full((len(texts), HASHES), 0xFFFFFFFF, dtype=np.uint32)
    batch: list[tuple[int, str]] = []
    size = 0
    for number, text in enumerate(texts):
        folded = text.lower()
        for start in range(0, max(1, len(folded)), _PIECE):
            piece = folded[start : start + _PIECE]
            if size + len(piece) > _PIECE and batch:
                _sign(batch, result)
                batch, size = [], 0
            batch.append((number, piece))
            size += len(piece)
    if batch:
        _sign(batch, result)
    return result


def similarity(left: NDArray[np.uint32], right: NDArray[np.uint32]) -> NDArray[np.float64]:
    """The estimated Jaccard similarity of pairs: two arrays of signatures (n, HASHES) give n numbers from 0 to 1."""
    return np.asarray(np.mean(left == right, axis=1))


def _sign(batch: Sequence[tuple[int, str]], result: NDArray[np.uint32]) -> None:
    """Lower the signatures in `result` by the shingles of pieces of documents."""
    shingles, owners = _shingles([piece for _, piece in batch])
    starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
    numbers = np.array([batch[owner][0] for owner in owners[starts]])
    for hash_, (factor, offset) in enumerate(_coefficients()):
        # Multiplying by an odd number and adding permutes the 32-bit integers.
        np.minimum.at(result[:, hash_], numbers, np.minimum.reduceat(shingles * factor + offset, starts))


def _shingles(pieces: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """The hash of every shingle, and the piece that it is from; pieces in order, each with at least one shingle."""
    codes = np.frombuffer("\0".join([*pieces, ""]).encode("utf-32-le"), dtype=np.uint32)
    piece_ends = np.cumsum([len(piece) + 1 for piece in pieces])
    kinds = _kinds()[codes]
    starts = np.flatnonzero((kinds == 2) | ((kinds == 1) & (np.r_[0, kinds[:-1]] != 1)))
    owners = np.searchsorted(piece_ends, starts, side="right")
    words = _word_hashes(codes, kinds, starts)
    # A piece with fewer words than a shingle is filled up, and one without a word gets its characters' hash.
    counts = np.bincount(owners, minlength=len(pieces))
    short = np.flatnonzero(counts < SHINGLE_WORDS)
    fill_owners = np.repeat(short, SHINGLE_WORDS - counts[short])
    fill = np.array(
        [0 if counts[owner] else _text_hash(pieces[owner]) for owner in fill_owners.tolist()], dtype=np.uint64
    )
    owners, words = np.r_[owners, fill_owners], np.r_[words, fill]
    order = np.argsort(owners, kind="stable")
    owners, words = owners[order], words[order]
    whole = np.flatnonzero(owners[: len(owners) - SHINGLE_WORDS + 1] == owners[SHINGLE_WORDS - 1 :])
    hashes = np.zeros(len(whole), dtype=np.uint64)
    for place in range(SHINGLE_WORDS):
        hashes = mix(hashes + words[whole + place])
    return (hashes >> np.uint64(32)).astype(np.uint32), owners[whole]


def _word_hashes(codes: NDArray[np.uint32], kinds: NDArray[np.uint8], starts: NDArray[np.intp]) -> NDArray[np.uint64]:
    """A polynomial hash of the characters of each word, modulo 2**64."""
    if not len(starts):
        return np.empty(0, dtype=np.uint64)
    word = np.cumsum(np.bincount(starts, minlength=len(codes))) - 1
    place = np.arange(len(codes)) - starts[np.maximum(word, 0)]
    terms = np.where(kinds > 0, mix(codes.astype(np.uint64)) * _powers(len(codes))[np.maximum(place, 0)], np.uint64(0))
    return mix(np.add.reduceat(terms, starts))


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
def _powers(count: int) -> NDArray[np.uint64]:
    """The first powers of an odd number, modulo 2**64."""
    return np.cumprod(np.full(count, 0x9E3779B97F4A7C15, dtype=np.uint64), dtype=np.uint64)


@lru_cache(maxsize=1)
def _coefficients() -> list[tuple[np.uint32, np.uint32]]:
    numbers = mix(np.arange(1, 2 * HASHES + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)).astype(np.uint32)
    return list(zip(numbers[:HASHES] | np.uint32(1), numbers[HASHES:], strict=True))
