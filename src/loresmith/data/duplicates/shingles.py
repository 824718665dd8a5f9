"""Documents as sets of shingles: hashes of every run of five words (Broder, "On the resemblance and containment of
documents", 1997), computed over whole batches of text at once.

What a word is, `words` says. A document shorter than a shingle is one shingle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loresmith.data.duplicates.words import hashed_words
from loresmith.data.mixing import mix_in_place

SHINGLE_WORDS = 5

_PIECE = 1 << 20  # characters: a document is cut only beyond it, and no shingle crosses the cut
_TOGETHER = 1 << 18  # characters looked at together; more of them do not stay in the processor's cache


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
        hashed = hashed_words(self.pieces)
        words, counts = _filled_up(hashed.hashes, hashed.counts, self.pieces)
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
