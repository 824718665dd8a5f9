"""The Merkle tree of RFC 6962: a root over a list that only grows, and short proofs about it.

A leaf is hashed with the prefix 0x00 and an inner node with 0x01, so that neither can be passed off as the other. The
proofs are made as in RFC 6962, sections 2.1.1 and 2.1.2, and checked as in RFC 9162, sections 2.1.3.2 and 2.1.4.2.
Everything here is a pure function of bytes; who trusts nobody can check a proof with this file alone.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice

LeafHashes = Callable[[int, int], Iterable[bytes]]
"""Gives the hashes of the leaves from `start` up to, and without, `stop`."""

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash under which a leaf stands in the tree (32 bytes)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of the node over two subtrees (32 bytes)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class CompactRange:
    """The roots of the perfect subtrees that a list of leaves divides into, the largest first.

    This is all that has to be remembered to append: at most log2(size) hashes.
    """

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if size < 0 or len(peaks) != size.bit_count():
            raise ValueError(f"a range of {size} leaves has {size.bit_count()} peaks, not {len(peaks)}")
        self.size = size
        self.peaks = list(peaks)

    def append(self, leaf: bytes) -> None:
        """Add the hash of one more leaf."""
        size = self.size
        while size & 1:
            leaf = node_hash(self.peaks.pop(), leaf)
            size >>= 1
        self.peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The hash of the whole list; that of the empty string while there are no leaves."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes, in one pass and in memory for log2(size) of them."""
    span = CompactRange()
    for leaf in leaves:
        span.append(leaf)
    return span.root()


def inclusion_path(leaves: LeafHashes, index: int, size: int) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of the first `size` leaves, the lowest first.

    Raises:
        ValueError: there is no such leaf in that tree.
    """
    return inclusion_paths(leaves(0, size), [index], size)[index][1]


def inclusion_paths(
    leaves: Iterable[bytes], indices: Collection[int], size: int
) -> dict[int, tuple[bytes, list[bytes]]]:
    """The hash of each of these leaves with the hashes that lead from it to the root of the first `size`.

    One pass over the leaves from the first on, in memory for the paths alone.

    Raises:
        ValueError: there is no such leaf in that tree, or it has fewer than `size`.
    """
    for index in indices:
        if not 0 <= index < size:
            raise ValueError(f"there is no leaf {index} in a tree of {size}")
    proved: dict[int, tuple[bytes, list[bytes]]] = {}
    if indices:
        _inclusion(iter(leaves), sorted(set(indices)), 0, size, proved)
    return proved


def consistency_path(leaves: LeafHashes, old: int, new: int) -> list[bytes]:
    """The hashes that show that the tree of `old` leaves is the beginning of the tree of `new` leaves.

    Raises:
        ValueError: `old` is not between 1 and `new`.
    """
    if not 1 <= old <= new:
        raise ValueError(f"a tree of {new} leaves does not continue one of {old}")
    return list(_consistency(leaves, old, 0, new, whole=True))


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` shows that `leaf` (a leaf hash) stands at `index` in the tree of `size` leaves with this root."""
    if not 0 <= index < size:
        return False
    position, last, running = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            running = node_hash(sibling, running)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            running = node_hash(running, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and running == root


def verify_consistency(old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether `path` shows that the tree of `old` leaves is the beginning of the tree of `new` leaves."""
    if not 1 <= old <= new:
        return False
    if old == new:
        return not path and old_root == new_root
    hashes = list(path)
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        return False
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old_running = new_running = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old_running = node_hash(sibling, old_running)
            new_running = node_hash(sibling, new_running)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new_running = node_hash(new_running, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and old_running == old_root and new_running == new_root


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def _inclusion(
    leaves: Iterator[bytes], wanted: Sequence[int], start: int, stop: int, proved: dict[int, tuple[bytes, list[bytes]]]
) -> bytes:
    """The root over the next leaves, those from `start` to `stop`; the paths below it of those that are wanted."""
    if not wanted:
        return root_of(islice(leaves, stop - start))
    if stop - start == 1:
        leaf = next(leaves, None)
        if leaf is None:
            raise ValueError(f"the leaves end before {stop}")
        proved[start] = leaf, []
        return leaf
    middle = start + _split(stop - start)
    cut = bisect_left(wanted, middle)
    left = _inclusion(leaves, wanted[:cut], start, middle, proved)
    right = _inclusion(leaves, wanted[cut:], middle, stop, proved)
    for index in wanted[:cut]:
        proved[index][1].append(right)
    for index in wanted[cut:]:
        proved[index][1].append(left)
    return node_hash(left, right)


def _consistency(leaves: LeafHashes, old: int, start: int, stop: int, *, whole: bool) -> Iterator[bytes]:
    """`whole`: the old tree ends where this subtree does and began at leaf 0, so its root is known already."""
    if start + old == stop:
        if not whole:
            yield root_of(leaves(start, stop))
        return
    middle = start + _split(stop - start)
    if start + old <= middle:
        yield from _consistency(leaves, old, start, middle, whole=whole)
        yield root_of(leaves(middle, stop))
    else:
        yield from _consistency(leaves, start + old - middle, middle, stop, whole=False)
        yield root_of(leaves(start, middle))
