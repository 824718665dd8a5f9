from __future__ import annotations

import hashlib
import itertools
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.data.duplicates.clusters import Clusters
from loresmith.data.duplicates.containment import contained_documents
from loresmith.data.duplicates.near_duplicates import near_duplicates
from loresmith.data.duplicates.shingles import shingles
from loresmith.data.duplicates.sketches import Sketches, write_sketches
from loresmith.data.engine.native_tables import NativeTables
from loresmith.data.engine.rows import Rows
from tests.data.duplicate_corpora import batches, containment, edited, jaccard, prose, shingles_of


def sketched(texts: list[str], folder: Path, shards: int = 1) -> Sketches:
    folders = []
    per_shard = -(-len(texts) // shards)
    for number in range(shards):
        first = number * per_shard
        folders.append(folder / f"shard-{number}")
        write_sketches(batches(texts[first : first + per_shard], first=first), folders[-1])
    return Sketches(folders)


def tables(folder: Path, memory: int = 1 << 28) -> NativeTables:
    return NativeTables(folder / "tables", memory)


def mixed_corpus(seed: int, originals: int = 30, copies: int = 40) -> list[str]:
    """Documents and copies with few and with many changes, in random order."""
    chance = random.Random(seed)
    texts = [prose(1000 * seed + number, chance.randrange(3, 300)) for number in range(originals)]
    for number in range(copies):
        original = texts[chance.randrange(originals)]
        texts.append(edited(original, number, chance.randrange(0, max(1, len(original.split()) // 15))))
    chance.shuffle(texts)
    return texts


def clusters_by_definition(texts: list[str], threshold: float) -> dict[int, int]:
    """The document that each one leaves for: every pair is compared."""
    clusters = Clusters()
    for left, right in itertools.combinations(range(len(texts)), 2):
        if jaccard(texts[left], texts[right]) >= threshold:
            clusters.join(left, right)
    kept = {}
    for members in clusters.joined().values():
        longest = max(members, key=lambda number: (len(texts[number].encode()), -number))
        kept.update({member: longest for member in members if member != longest})
    return kept


@pytest.mark.parametrize("threshold", [0.7, 0.8])
@pytest.mark.parametrize("seed", [2, 31, 415, 9265])  # not any: hashing misses one similar pair in a thousand
def test_what_is_found_is_what_comparing_every_pair_finds(seed: int, threshold: float) -> None:
    texts = mixed_corpus(seed)
    with tempfile.TemporaryDirectory() as name:
        found = near_duplicates(
            sketched(texts, Path(name)), Path(name) / "work", threshold, tables(Path(name))
        ).to_pylist()
    wanted = clusters_by_definition(texts, threshold)
    assert {(row["document"], row["kept"]) for row in found} == {
        (f"{document:05}", f"{kept:05}") for document, kept in wanted.items()
    }
    for row in found:
        true = jaccard(texts[int(row["document"])], texts[int(row["kept"])])
        assert row["similarity"] == pytest.approx(true, abs=1e-6)
        assert (row["kind"], row["start"], row["end"]) == ("near", None, None)


def test_the_memory_and_the_shards_make_no_difference(tmp_path: Path) -> None:
    texts = mixed_corpus(1, originals=60, copies=90)
    sketches = sketched(texts, tmp_path / "one")
    wanted = near_duplicates(sketches, tmp_path / "plenty", 0.7, tables(tmp_path))
    assert wanted.num_rows > 20
    for shards, memory in ((1, 0), (4, 1 << 20), (3, 5000)):
        case = tmp_path / f"{shards}-{memory}"
        assert near_duplicates(sketched(texts, case, shards), case / "work", 0.7, tables(case, memory)).equals(wanted)
        assert [path.name for path in (case / "work").iterdir()] == ["near-duplicates.arrow"]


def test_every_process_finds_the_same(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from loresmith.data.duplicates.near_duplicates import near_duplicates
from tests.data.test_near_duplicates import mixed_corpus, sketched, tables
texts = [*mixed_corpus(3), "...", "--- ***", "\u00a7", ""]
folder = Path(sys.argv[1])
near_duplicates(sketched(texts, folder), folder / "work", 0.7, tables(folder))
"""
    digests = set()
    for seed in ("1", "2"):
        folder = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", script, str(folder)], check=True, env=environment)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        digests.add(hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest())
    assert len(digests) == 1


def test_similar_pairs_are_found_and_others_not(tmp_path: Path) -> None:
    """Recall and precision as benchmarks/data/near_duplicates.py measures them, on a small scale."""
    texts, similarities = [], []
    for seed in range(300):
        original = prose(seed, 200)
        copy = edited(original, seed, edits=2 + seed % 7)
        texts += [original, copy]
        similarities.append(jaccard(original, copy))
    found = near_duplicates(sketched(texts, tmp_path), tmp_path / "work", 0.75, tables(tmp_path)).to_pylist()
    pairs = {frozenset((int(row["document"]), int(row["kept"]))) for row in found}
    wanted = {frozenset((2 * pair, 2 * pair + 1)) for pair, true in enumerate(similarities) if 0.8 <= true < 0.9}
    assert len(wanted) > 80
    assert len(wanted & pairs) >= 0.97 * len(wanted)
    assert all(jaccard(*(texts[number] for number in pair)) >= 0.75 for pair in pairs)


def test_one_document_in_many_copies_takes_time_in_proportion(tmp_path: Path) -> None:
    """Of a bucket not every pair is compared."""
    sketches = sketched([prose(1, 40)] * 3000, tmp_path)
    found = near_duplicates(sketches, tmp_path / "work", 0.8, tables(tmp_path))
    assert found.column("kept").unique().to_pylist() == ["00000"]
    assert found.num_rows == 2999


word = st.sampled_from(["a", "B", "é", "中文", "x_1", "ǅ", "\u0130", "9", "測"])
gap = st.sampled_from([" ", "\n", ". ", " \0 ", "\u2028", "--", ""])
spelled = st.lists(st.tuples(word, gap), max_size=15).map(
    lambda pairs: "".join(part for pair in pairs for part in pair)
)


@given(st.lists(spelled, min_size=1, max_size=6))
def test_the_same_words_give_the_same_shingles_whatever_is_around_them(texts: list[str]) -> None:
    together: dict[int, list[int]] = {}
    for some in shingles(texts):
        ends = [*some.starts[1:], len(some.hashes)]
        for owner, start, end in zip(some.owners.tolist(), some.starts, ends, strict=True):
            together.setdefault(owner, []).extend(some.hashes[start:end].tolist())
    assert sorted(together) == list(range(len(texts)))
    for number, text in enumerate(texts):
        (alone,) = shingles([f"…{text}"])  # no longer ASCII, which takes the other way
        assert together[number] == alone.hashes.tolist() or not any(character.isalnum() for character in text)
        if not any(ord(character) > 0x2E7F for character in text) and shingles_of(text) != {()}:
            distinct = {tuple(words) for words in shingles_of(text)}
            assert len(set(together[number])) == len(distinct)


def test_nothing_is_found_in_nothing(tmp_path: Path) -> None:
    empty = pa.record_batch([pa.array([], pa.string()), pa.array([], pa.string())], names=["id", "text"])
    assert write_sketches([empty], tmp_path / "empty") == 0
    for number, texts in enumerate(([], [""], ["one", ""])):
        sketches = sketched(texts, tmp_path / str(number))
        assert near_duplicates(sketches, tmp_path / str(number) / "near", 0.8, tables(tmp_path)).num_rows == 0
        assert contained_documents(sketches, tmp_path / str(number) / "contained", 0.8, tables(tmp_path)).num_rows == 0


def test_documents_inside_others_are_found(tmp_path: Path) -> None:
    chance = random.Random(0)
    wholes = [prose(seed, chance.randrange(300, 900)) for seed in range(60)]
    parts = []
    for number, whole in enumerate(wholes[:40]):
        words = whole.split()
        length = chance.randrange(60, len(words) - 20)
        start = chance.randrange(len(words) - length)
        parts.append(edited(" ".join(words[start : start + length]), number, edits=number % 8))
    texts = [text for pair in itertools.zip_longest(wholes, parts) for text in pair if text is not None]
    found = contained_documents(sketched(texts, tmp_path, 3), tmp_path / "work", 0.8, tables(tmp_path)).to_pylist()
    sets = [shingles_of(text) for text in texts]
    wanted = {
        f"{inner:05}": f"{outer:05}"
        for (inner, part), (outer, whole) in itertools.permutations(enumerate(sets), 2)
        if len(part) < len(whole) and len(part & whole) >= 0.8 * len(part)
    }
    assert len(wanted) > 20
    assert {row["document"]: row["kept"] for row in found} == wanted
    for row in found:
        assert row["similarity"] == pytest.approx(
            containment(texts[int(row["document"])], texts[int(row["kept"])]), abs=1e-6
        )
    assert (
        contained_documents(
            sketched(texts, tmp_path / "again"), tmp_path / "little", 0.8, tables(tmp_path, 0)
        ).to_pylist()
        == found
    )


def test_what_is_kept_never_goes_itself(tmp_path: Path) -> None:
    """A part of a part is inside the whole."""
    words = prose(1, 1000).split()
    texts = [" ".join(words[:size]) for size in (100, 1000, 300, 60, 600)]
    found = contained_documents(sketched(texts, tmp_path), tmp_path / "work", 0.9, tables(tmp_path)).to_pylist()
    assert [(row["document"], row["kept"]) for row in found] == [
        ("00000", "00001"), ("00002", "00001"), ("00003", "00001"), ("00004", "00001")
    ]  # fmt: skip


class CountingTables(NativeTables):
    """Counts the pairs that are looked at."""

    pairs = 0

    def shared(self, left: Sequence[Path], right: Sequence[Path]) -> Iterator[Rows]:
        for block in super().shared(left, right):
            self.pairs += len(block)
            yield block


def test_boilerplate_does_not_make_a_document_part_of_another(tmp_path: Path) -> None:
    """Nor does it take time for every two documents that have it."""
    licence = prose(9, 150)
    texts = [licence + prose(100 + seed, 60) for seed in range(80)]
    tables = CountingTables(tmp_path / "tables", 1 << 28)
    assert contained_documents(sketched(texts, tmp_path), tmp_path / "work", 0.8, tables).num_rows == 0
    assert tables.pairs < 80 * 79 / 2 / 2
