from __future__ import annotations

import itertools
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from loresmith.data.duplicates.minhash import signatures, similarity
from loresmith.data.splitting import Shares, split_groups
from loresmith.data.steps import CURATE, CurateConfig
from loresmith.errors import UserError
from tests.data.duplicate_corpora import edited, jaccard, prose
from tests.data.tables import curate, files_of, ingest, rows, write_files
from tests.step_context import as_input, run_step


def test_duplicates_are_merged_short_documents_dropped_and_labels_kept(tmp_path: Path) -> None:
    files = {f"{number}.txt": prose(number) for number in range(10)}
    folder = write_files(tmp_path / "in", {**files, "copy/3.txt": files["3.txt"], "tiny.txt": "too little"})
    documents = ingest(folder, tmp_path, label_rules={"copy": ["restricted"]}).outputs["documents"]
    result = run_step(CURATE, tmp_path, {}, {"documents": as_input("documents", documents)})
    made = result.outputs["corpus"]
    corpus, books = rows(made.directory), rows(made.directory, "books.parquet")
    assert [row["path"] for row in corpus] == sorted(files)
    by_path = {row["path"]: row for row in books}
    assert by_path["copy/3.txt"]["disposition"] == "merged"
    assert by_path["copy/3.txt"]["detail"] == f"of {by_path['3.txt']['id']} 3.txt"
    assert (by_path["tiny.txt"]["disposition"], by_path["tiny.txt"]["reason"]) == ("dropped", "too short")
    assert {row["path"]: row["labels"] for row in corpus if row["labels"]} == {"3.txt": ["restricted"]}
    assert made.labels == ("restricted",)
    assert made.metadata["documents"] == 10
    assert sum(split["documents"] for split in made.metadata["splits"].values()) == 10
    assert sum(split["bytes"] for split in made.metadata["splits"].values()) == sum(row["bytes"] for row in corpus)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(4, 12), st.integers(0, 12))
def test_near_identical_documents_never_straddle_the_split(seed: int, originals: int, copies: int) -> None:
    texts = {f"{number:03}.txt": prose(seed + number) for number in range(originals)}
    chance = random.Random(seed)
    for number in range(copies):
        name = chance.choice(sorted(texts))
        texts[f"copy-{number:03}.txt"] = edited(texts[name], seed + number, edits=2)
    with tempfile.TemporaryDirectory() as name:
        folder = write_files(Path(name) / "in", texts)
        result = curate(folder, Path(name), validation_share=0.3, test_share=0.3)
        corpus = rows(result.outputs["corpus"].directory)
    assert len(corpus) == len(set(texts.values()))
    for left, right in itertools.combinations(corpus, 2):
        if jaccard(left["text"], right["text"]) >= 0.85:
            assert left["group"] == right["group"]
        if left["group"] == right["group"]:
            assert left["split"] == right["split"]
    assert {row["split"] for row in corpus} == {"train", "validation", "test"}


def test_signatures_estimate_the_jaccard_similarity() -> None:
    texts = [prose(seed, 400) for seed in range(40)]
    others = [edited(text, seed, edits=4 * seed) for seed, text in enumerate(texts)]
    estimates = similarity(signatures(texts), signatures(others))
    exact = np.array([jaccard(*pair) for pair in zip(texts, others, strict=True)])
    assert np.abs(estimates - exact).max() < 0.2
    assert np.abs(estimates - exact).mean() < 0.045
    assert abs((estimates - exact).mean()) < 0.02


@given(st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_a_signature_depends_on_its_own_document_alone(texts: list[str]) -> None:
    together = signatures(texts)
    alone = np.concatenate([signatures([text]) for text in texts])
    assert np.array_equal(together, alone)


def test_a_document_is_like_itself_and_spelling_variants_count_as_one() -> None:
    text = "The quick, brown fox -- jumps over THE lazy dog; twice!"
    variant = "the quick brown fox\njumps   over the lazy dog twice"
    other = "1 2 3"
    signs = signatures([text, variant, other, "...", "!!!", ""])
    assert np.array_equal(signs[0], signs[1])
    assert len({sign.tobytes() for sign in signs}) == 5


def test_languages_without_spaces_are_compared_too() -> None:
    sentences = [chr(0x4E00 + number) * 3 + "测试文档的内容" + chr(0x5000 + 7 * number) for number in range(40)]
    text = "，".join(sentences)
    variant = "，".join([*sentences[:-1], "完全不同的结尾"])
    signs = signatures([text, variant, "。".join(reversed(sentences))])
    assert similarity(signs[:1], signs[1:2])[0] > 0.8


def test_long_documents_are_taken_in_pieces() -> None:
    text = prose(1, 250_000)
    assert len(text) > 1 << 21
    assert similarity(signatures([text]), signatures([text + prose(2, 1000)]))[0] > 0.9


def test_a_document_stays_on_its_side_whatever_comes_along(tmp_path: Path) -> None:
    first = {f"{number}.txt": prose(number) for number in range(60)}
    second = {f"more/{number}.txt": prose(1000 + number) for number in range(60)}
    moved = {f"elsewhere/{name}": text for name, text in first.items()}
    sides = []
    for number, files in enumerate(({**first}, {**moved, **second})):
        result = curate(write_files(tmp_path / f"in{number}", files), tmp_path / str(number), test_share=0.3)
        sides.append({row["text"]: row["split"] for row in rows(result.outputs["corpus"].directory)})
        assert result.outputs["corpus"].metadata["moved_groups"] == {}
    assert {text: sides[1][text] for text in sides[0]} == sides[0]


def test_the_shares_are_about_what_was_asked_for() -> None:
    names = [f"{number:064x}" for number in range(20_000)]
    sides = list(split_groups(names, Shares(0.03, 0.05)).sides.values())
    assert abs(sides.count("validation") / len(sides) - 0.03) < 0.005
    assert abs(sides.count("test") / len(sides) - 0.05) < 0.005


@given(
    st.integers(1, 30), st.integers(0, 10**6), st.sampled_from([(0, 0), (0.1, 0), (0, 0.01), (0.01, 0.01), (0.5, 0.49)])
)
def test_no_split_that_was_asked_for_is_empty(groups: int, seed: int, shares: tuple[float, float]) -> None:
    names = [f"{seed}-{number}" for number in range(groups)]
    wanted = {"train", *(["validation"] if shares[0] else []), *(["test"] if shares[1] else [])}
    if groups < len(wanted):
        with pytest.raises(UserError, match="cannot fill"):
            split_groups(names, Shares(*shares))
        return
    splitting = split_groups(names, Shares(*shares))
    assert set(splitting.sides.values()) == wanted
    assert set(splitting.sides) == set(names)
    assert splitting == split_groups(reversed(names), Shares(*shares))


def test_near_duplicates_can_be_dropped_and_the_longest_stays(tmp_path: Path) -> None:
    texts = {f"{number}.txt": prose(number) for number in range(5)}
    longer = texts["2.txt"] + "and a few words at the end\n"
    result = curate(write_files(tmp_path / "in", {**texts, "z.txt": longer}), tmp_path, drop_near_duplicates=True)
    directory = result.outputs["corpus"].directory
    assert sorted(row["path"] for row in rows(directory)) == ["0.txt", "1.txt", "3.txt", "4.txt", "z.txt"]
    (merged,) = (row for row in rows(directory, "books.parquet") if row["disposition"] == "merged")
    assert (merged["path"], merged["reason"]) == ("2.txt", "near duplicate")


def test_folders_can_be_kept_together(tmp_path: Path) -> None:
    files = {f"project{number % 8}/sub{number % 3}/{number}.txt": prose(number) for number in range(48)}
    folder = write_files(tmp_path / "in", files)
    result = curate(folder, tmp_path, group_by_folders=1, test_share=0.3)
    sides: dict[str, set[str]] = {}
    for row in rows(result.outputs["corpus"].directory):
        sides.setdefault(row["path"].split("/")[0], set()).add(row["split"])
    assert len(sides) == 8
    assert all(len(side) == 1 for side in sides.values())


def test_the_same_documents_give_the_same_corpus(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {f"{number}.txt": prose(number) for number in range(20)})
    made = [curate(folder, tmp_path / str(attempt)).outputs["corpus"] for attempt in range(2)]
    assert files_of(made[0].directory) == files_of(made[1].directory)
    assert made[0].metadata == made[1].metadata


def test_a_corpus_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"a.txt": prose(1), "b.txt": prose(2)})
    with pytest.raises(UserError, match=r"2 groups .* cannot fill 3 splits"):
        curate(folder, tmp_path / "few")
    with pytest.raises(UserError, match="none of the 2 documents is left: 2 too short"):
        curate(folder, tmp_path / "short", minimum_bytes=100_000)
    with pytest.raises(ValidationError, match="nothing to train on"):
        CurateConfig(validation_share=0.5, test_share=0.5)
