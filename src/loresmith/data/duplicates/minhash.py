"""How similar documents are, from a short signature of each: MinHash over word shingles.

Broder, "On the resemblance and containment of documents", 1997. The share of places in which two signatures agree
estimates the Jaccard similarity of the documents' sets of shingles, with a standard error of at most 0.047.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from loresmith.data.duplicates.shingles import Shingles, shingles
from loresmith.data.mixing import mix

HASHES = 112


def signatures(texts: Sequence[str]) -> NDArray[np.uint32]:
    """The signatures of documents: uint32 of shape (len(texts), HASHES)."""
    result = np.full((len(texts), HASHES), 0xFFFFFFFF, dtype=np.uint32)
    for some in shingles(texts):
        lower(result, some)
    return result


def lower(signs: NDArray[np.uint32], some: Shingles) -> None:
    """Lower the signatures (documents, HASHES) of the documents that own some shingles."""
    least = np.empty((HASHES, len(some.starts)), dtype=np.uint32)
    permuted = np.empty_like(some.hashes)
    for row, (factor, offset) in zip(least, _coefficients(), strict=True):
        # Multiplying by an odd number and adding permutes the 32-bit integers.
        np.multiply(some.hashes, factor, out=permuted)
        np.add(permuted, offset, out=permuted)
        np.minimum.reduceat(permuted, some.starts, out=row)
    signs[some.owners] = np.minimum(signs[some.owners], least.T)


def similarity(left: NDArray[np.uint32], right: NDArray[np.uint32]) -> NDArray[np.float64]:
    """The estimated Jaccard similarity of pairs: two arrays of signatures (n, HASHES) give n numbers from 0 to 1."""
    return np.asarray(np.mean(left == right, axis=1))


@lru_cache(maxsize=1)
def _coefficients() -> list[tuple[np.uint32, np.uint32]]:
    numbers = mix(np.arange(1, 2 * HASHES + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)).astype(np.uint32)
    return list(zip(numbers[:HASHES] | np.uint32(1), numbers[HASHES:], strict=True))
