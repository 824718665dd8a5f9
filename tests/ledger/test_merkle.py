"""The tree against RFC 6962 as somebody else wrote it down (pymerkle), and proofs against every forgery."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pymerkle  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.ledger import merkle

SIZES = [*range(1, 35), 63, 64, 65, 100, 127, 128, 129, 255, 256, 257, 1000]


def leaves(size: int) -> list[bytes]:
    return [f"leaf {index}".encode() for index in range(size)]


def hashes(size: int) -> list[bytes]:
    return [merkle.leaf_hash(leaf) for leaf in leaves(size)]


def between(known: list[bytes]) -> merkle.LeafHashes:
    return lambda start, stop: known[start:stop]


@pytest.fixture(scope="module")
def oracle() -> pymerkle.InmemoryTree:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for leaf in leaves(max(SIZES)):
        tree.append_entry(leaf)
    return tree


def test_an_empty_tree_has_the_hash_of_nothing() -> None:
    assert merkle.CompactRange().root() == hashlib.sha256(b"").digest()


def test_the_root_is_the_oracles_at_every_size(oracle: pymerkle.InmemoryTree) -> None:
    span = merkle.CompactRange()
    for size, leaf in enumerate(hashes(max(SIZES)), 1):
        span.append(leaf)
        assert span.root() == oracle.get_root(size)
        assert len(span.peaks) == size.bit_count()


def test_a_range_goes_on_from_its_peaks() -> None:
    for size, following in pairwise(SIZES):
        before = merkle.CompactRange()
        for leaf in hashes(size):
            before.append(leaf)
        resumed = merkle.CompactRange(before.size, before.peaks)
        for leaf in hashes(following)[size:]:
            resumed.append(leaf)
        assert resumed.root() == merkle.root_of(hashes(following))


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_has_an_inclusion_proof(size: int, oracle: pymerkle.InmemoryTree) -> None:
    known = hashes(size)
    root = oracle.get_root(size)
    for index in {*range(min(size, 40)), size // 2, size - 1}:
        path = merkle.inclusion_path(between(known), index, size)
        assert merkle.verify_inclusion(known[index], index, size, path, root)
        # The oracle's path starts with the leaf itself.
        assert path == [bytes.fromhex(node) for node in oracle.prove_inclusion(index + 1, size).serialize()["path"]][1:]


@pytest.mark.parametrize("new", SIZES)
def test_every_older_tree_is_shown_to_be_the_beginning(new: int, oracle: pymerkle.InmemoryTree) -> None:
    known = hashes(new)
    for old in {*range(1, min(new, 40) + 1), (new + 1) // 2, new}:
        path = merkle.consistency_path(between(known), old, new)
        assert merkle.verify_consistency(old, new, path, oracle.get_root(old), oracle.get_root(new))
        proof = oracle.prove_consistency(old, new)
        pymerkle.verify_consistency(oracle.get_root(old), oracle.get_root(new), proof)


@given(st.data())
def test_a_forged_inclusion_proof_does_not_hold(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 70))
    index = data.draw(st.integers(0, size - 1))
    known = hashes(size)
    root = merkle.root_of(known)
    path = merkle.inclusion_path(between(known), index, size)
    assert merkle.verify_inclusion(known[index], index, size, path, root)
    other = data.draw(st.binary(min_size=32, max_size=32))
    elsewhere = data.draw(st.integers(0, size - 1).filter(lambda found: found != index) if size > 1 else st.just(size))
    assert not merkle.verify_inclusion(other, index, size, path, root)
    assert not merkle.verify_inclusion(known[index], index, size, path, other)
    assert not merkle.verify_inclusion(known[index], elsewhere, size, path, root)
    assert not merkle.verify_inclusion(known[index], index, size, [*path, other], root)
    if path:
        changed = data.draw(st.integers(0, len(path) - 1))
        assert not merkle.verify_inclusion(known[index], index, size, path[:-1], root)
        assert not merkle.verify_inclusion(
            known[index], index, size, [*path[:changed], other, *path[changed + 1 :]], root
        )


@given(st.data())
def test_a_rewritten_past_has_no_consistency_proof(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 70))
    old = data.draw(st.integers(1, new))
    changed = data.draw(st.integers(0, old - 1))
    before = hashes(old)
    rewritten = hashes(new)
    rewritten[changed] = merkle.leaf_hash(b"another")
    path = merkle.consistency_path(between(rewritten), old, new)
    assert not merkle.verify_consistency(old, new, path, merkle.root_of(before), merkle.root_of(rewritten))


def test_a_leaf_cannot_be_passed_off_as_a_node() -> None:
    left, right = hashes(2)
    assert merkle.leaf_hash(left + right) != merkle.node_hash(left, right)
