"""What a text is about, as numbers: its character n-grams, hashed (Weinberger et al., "Feature hashing", 2009).

A text is taken as it looks, in small letters, its white space as one space; n-grams of 1 to 5 bytes go over words'
borders, so that words and pairs of words are in them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loresmith.data.mixing import mix_in_place
from loresmith.serving.guards.passage_hashes import looking
from loresmith.serving.guards.topic_facts import BITS

FEATURES = 1 << BITS
LONGEST_GRAM = 5

_BASE = np.uint64(0x9E3779B97F4A7C15)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class SparseVector:
    """A vector of length 1 of `FEATURES` numbers, of which K are not 0.

    Attributes:
        places: (K,) which, ascending.
        values: (K,) what they are.
    """

    places: NDArray[np.intp]
    values: NDArray[np.float64]


def features(text: str) -> SparseVector:
    """The features of a text: the square root of how often each n-gram stands in it, scaled to length 1."""
    plain = f" {_SPACE.sub(' ', looking(text).lower()).strip()} "
    codes = np.frombuffer(plain.encode("utf-8", "replace"), dtype=np.uint8).astype(np.uint64)
    grams = []
    sums = np.zeros(len(codes), dtype=np.uint64)
    for length in range(1, min(LONGEST_GRAM, len(codes)) + 1):
        sums = sums[: len(codes) - length + 1] * _BASE + codes[length - 1 :] + np.uint64(1)
        hashed = sums + np.uint64(length)
        mix_in_place(hashed)
        grams.append(hashed >> np.uint64(64 - BITS))
    places, counts = np.unique(np.concatenate(grams), return_counts=True)
    values = np.sqrt(counts)
    return SparseVector(places.astype(np.intp), values / np.linalg.norm(values))
