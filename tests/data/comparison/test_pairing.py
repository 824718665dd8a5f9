"""What came, went and changed between two corpora, as comparing dictionaries would say it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.asset_rows import AssetRows
from loresmith.data.comparison.pairing import NOBODY, Pairing, pair_documents
from loresmith.data.comparison.totals import distributions, totals_of
from tests.data.conversations import asked, dataset_of
from tests.data.written_corpora import corpus_of, document


def compare(one: list[dict[str, Any]], other: list[dict[str, Any]], limit: int = 5) -> Pairing:
    folder = Path(mkdtemp())
    before, after = (AssetRows(corpus_of(documents, folder / name)) for name, documents in (("a", one), ("b", other)))
    return pair_documents(before, after, limit, folder / "work")


def test_each_change_is_found_and_named() -> None:
    same = [document(f"same{n}", f"text {n}") for n in range(50)]
    one = [*same, document("gone", "x" * 10), document("c", "old"), document("m", "mm"), document("l", "ll")]
    other = [
        document("new", "y" * 7),
        document("c", "newer"),
        document("m", "mm", split="test"),
        document("l", "ll", labels=["restricted"]),
        *reversed(same),
    ]
    found = compare(one, other)
    assert found.same == 50
    assert set(found.counts.values()) == {1}
    assert found.bytes == {"added": 7, "removed": 10, "changed": 5, "moved": 2, "relabelled": 2}
    assert found.first == {
        "added": [(NOBODY, 0)],
        "removed": [(50, NOBODY)],
        "changed": [(51, 1)],
        "moved": [(52, 2)],
        "relabelled": [(53, 3)],
    }


def test_the_first_are_the_first_of_the_second_corpus() -> None:
    added = [document(f"n{n}", "x") for n in range(40)]
    found = compare([document("a", "a")], [document("a", "a"), *added], limit=3)
    assert found.first["added"] == [(NOBODY, 1), (NOBODY, 2), (NOBODY, 3)]
    assert found.counts["added"] == 40


def test_a_document_that_is_there_several_times_is_paired_as_often() -> None:
    one = [document("a", "one"), document("a", "two"), document("a", "three")]
    other = [document("a", "three"), document("a", "four"), document("a", "one"), document("a", "one")]
    found = compare(one, other)
    assert (found.same, found.counts["changed"], found.counts["added"], found.counts["removed"]) == (2, 1, 1, 0)


rows = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.sampled_from(["train", "test"])), max_size=8
)


@settings(max_examples=25, deadline=None)
@given(rows, rows)
def test_nothing_is_counted_twice_and_nothing_is_forgotten(one: list[Any], other: list[Any]) -> None:
    before, after = ([document(path, text, split=split) for path, text, split in side] for side in (one, other))
    found = compare(before, after, limit=100)
    pairs = len(one) - found.counts["removed"]
    assert pairs == len(other) - found.counts["added"]
    texts = [Counter((path, text) for path, text, _ in side) for side in (one, other)]
    paths = [Counter(path for path, _, _ in side) for side in (one, other)]
    same_text = (texts[0] & texts[1]).total()
    assert pairs == (paths[0] & paths[1]).total()
    assert found.counts["changed"] == pairs - same_text
    assert found.same <= same_text
    for change, named in found.first.items():
        assert len(named) == found.counts[change]


def test_conversations_are_compared_by_line(tmp_path: Path) -> None:
    one = dataset_of([asked("Who?", "Ada."), asked("Where?", "Here.")], tmp_path / "a")
    other = dataset_of([asked("Who?", "Ada."), asked("Where?", "There.")], tmp_path / "b")
    found = pair_documents(AssetRows(one), AssetRows(other), 5, tmp_path / "work")
    assert (found.same, found.counts["changed"]) == (1, 1)
    assert not (tmp_path / "work").exists()


def test_totals_are_by_language_type_split_and_folder(tmp_path: Path) -> None:
    documents = [document("a/x", "1234"), document("a/y", "12", language="de", split="test"), document("z", "1")]
    found = totals_of(AssetRows(corpus_of(documents, tmp_path)))
    assert (found.documents, found.bytes) == (3, 7)
    assert found.by == {
        "language": {"de": (1, 2), "en": (2, 5)},
        "media_type": {"text/plain": (3, 7)},
        "split": {"test": (1, 2), "train": (2, 5)},
        "folder": {"": (1, 1), "a": (2, 6)},
    }


def test_distributions_are_those_of_all_values(tmp_path: Path) -> None:
    documents = [document(f"{n}", f"{n}") for n in range(5_000)]
    scores = [
        {"scores": [("words", float(n)), *((("rare", 1.0),) if n % 1000 == 0 else ())], "flags": ["even"] * (n % 2)}
        for n in range(5_000)
    ]
    found = distributions(corpus_of(documents, tmp_path, scores))
    assert (found["words"].count, found["rare"].count, found["flag even"].count) == (5_000, 5, 2_500)
    assert found["words"].middle == pytest.approx(2_500, abs=1)
    assert found["words"].low == pytest.approx(500, abs=1)
    assert found["words"].high == pytest.approx(4_500, abs=1)
    assert distributions(corpus_of(documents[:1], tmp_path / "unscored")) == {}
