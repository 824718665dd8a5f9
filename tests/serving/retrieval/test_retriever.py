"""Nobody sees what they may not: not through ranking, scores, counts, caches, errors or what is opened."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest

from loresmith.errors import Failure, UserError
from loresmith.serving.retrieval import retriever as retrieving
from loresmith.serving.retrieval.layout import INDEX, PARTITIONS, partition_name
from loresmith.serving.retrieval.passage import Passage, PassageRef
from loresmith.serving.retrieval.retriever import CANDIDATES, Retriever
from loresmith.serving.wall_clock import WallClock
from tests.advice.corpora import document, prose
from tests.serving.retrieval.indexes import (
    ask,
    build,
    build_with_vectors,
    everything,
    minilm,
    opened,
    paths,
    with_vectors,
)

LABELS = ("clinical", "night", "secret")
SETS = [frozenset(held) for held in chain.from_iterable(combinations(LABELS, size) for size in range(4))]


def canary(labels: frozenset[str]) -> str:
    """A word that only documents with exactly these labels have."""
    return "canary" + "".join(sorted(label[0] for label in labels))


def rows() -> list[dict[str, Any]]:
    """For every set of labels a document with its canary, and others in words that all share."""
    found = []
    for number, labels in enumerate(SETS):
        texts = [f"The canary is called {canary(labels)}, and the valve is shut."]
        texts += [f"The valve number {each} of the pump. {prose(each, 8)}" for each in range(number, number + 3)]
        name = "-".join(sorted(labels)) or "open"
        found += [document(f"{name}/{each}.txt", text, labels=sorted(labels)) for each, text in enumerate(texts)]
    return found


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_with_vectors(tmp_path_factory.mktemp("all"), rows())


QUESTIONS = [*(canary(labels) for labels in SETS), "which valve is shut", "canary", prose(3, 6)]


@pytest.mark.parametrize("held", SETS, ids=lambda held: "+".join(sorted(held)) or "none")
def test_a_caller_sees_what_an_index_without_the_rest_would_show(
    held: frozenset[str], directory: Path, tmp_path: Path
) -> None:
    allowed = [row for row in rows() if held.issuperset(row["labels"])]
    alone = with_vectors(tmp_path, allowed)
    whole = Retriever.open(directory, minilm())
    for everybody in SETS:  # what others ask before must change nothing
        ask(whole, canary(everybody), *everybody)
    for question in QUESTIONS:
        found = ask(whole, question, *held, limit=50)
        assert found == ask(alone, question, *held, limit=50)
        assert all(held.issuperset(passage.labels) for passage in found)
    seen = "".join(passage.text for question in QUESTIONS for passage in ask(whole, question, *held, limit=50))
    for labels in SETS:
        assert (f"{canary(labels)}," in seen) == (labels <= held)


def test_what_is_withdrawn_while_somebody_looks_is_neither_shown_nor_kept_open(directory: Path) -> None:
    whole = Retriever.open(directory, minilm())

    def withdrawing(_: PassageRef) -> bool:
        whole.withdraw()
        return True

    assert whole.retrieve("which valve is shut", frozenset(LABELS), withdrawing, 5) == []
    assert not whole._opened


def test_other_partitions_are_not_even_opened(directory: Path, tmp_path: Path) -> None:
    ruined = shutil.copytree(directory, tmp_path / "ruined")
    for labels in SETS:
        if not labels <= {"clinical"}:
            shutil.rmtree(ruined / PARTITIONS / partition_name(sorted(labels)))
    for question in QUESTIONS:
        for held in ((), ("clinical",)):
            found = ask(Retriever.open(ruined, minilm()), question, *held)
            assert found == ask(Retriever.open(directory, minilm()), question, *held)


def test_a_damaged_partition_is_named_without_its_labels(directory: Path, tmp_path: Path) -> None:
    ruined = shutil.copytree(directory, tmp_path / "ruined")
    name = partition_name(["clinical", "secret"])
    (ruined / PARTITIONS / name / "texts.npy").write_bytes(b"nonsense")
    retriever = Retriever.open(ruined, minilm())
    with pytest.raises(Failure, match=name) as refusal:
        ask(retriever, "valve", "clinical", "secret")
    assert not any(label in str(refusal.value) for label in LABELS)
    assert ask(retriever, "valve", "clinical")


def test_what_is_not_authorised_leaves_no_trace(tmp_path: Path) -> None:
    open_rows = [document(f"{number}.txt", f"The valve {number}. {prose(number, 6)}") for number in range(8)]
    retriever = with_vectors(tmp_path, open_rows)
    whole = ask(retriever, "The valve 3")
    assert paths(whole)[0] == "3.txt"

    def without(passage: PassageRef) -> bool:
        return passage.path != "3.txt"

    found = retriever.retrieve("The valve 3", frozenset(), without, 10)
    assert set(paths(found)) == set(paths(whole)) - {"3.txt"}
    assert [passage.number for passage in found] == list(range(1, 8))
    alone = ask(with_vectors(tmp_path, [row for row in open_rows if row["path"] != "3.txt"]), "The valve 3")
    assert [(passage.path, passage.score) for passage in found] == [(passage.path, passage.score) for passage in alone]
    assert retriever.retrieve("The valve 3", frozenset(), lambda _: False, 10) == []


def test_however_many_are_refused_the_best_of_the_others_are_found(tmp_path: Path) -> None:
    # By words alone the shorter is better; there are more than are looked at in one go.
    documents = [document(f"{n:03d}.txt", "valve" + " pump" * n) for n in range(CANDIDATES + 90)]
    retriever = opened(tmp_path, documents)

    def late(passage: PassageRef) -> bool:
        return int(passage.path[:3]) >= 70

    wanted = ask(opened(tmp_path, documents[70:]), "valve", limit=12)
    found = retriever.retrieve("valve", frozenset(), late, 12)
    assert [(each.path, each.score) for each in found] == [(each.path, each.score) for each in wanted]
    assert paths(found) == [f"{n:03d}.txt" for n in range(70, 82)]
    last = retriever.retrieve("valve", frozenset(), lambda ref: ref.path == documents[-1]["path"], 5)
    assert paths(last) == [documents[-1]["path"]]


def test_where_some_are_refused_no_more_are_ranked_than_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieving, "CANDIDATES", 4)
    # The longer, the worse by words and the better by sense.
    documents = [document(f"{n:03d}.txt", "valve" + " cat" * (n // 2) + " x" * (n % 2)) for n in range(14)]
    question = "valve feline kittens pets animals"

    def late(passage: PassageRef) -> bool:
        return int(passage.path[:3]) >= 2

    found = with_vectors(tmp_path, documents).retrieve(question, frozenset(), late, 2)
    wanted = ask(with_vectors(tmp_path, documents[2:]), question, limit=2)
    everything_ranked = with_vectors(tmp_path, documents[2:]).retrieve(question, frozenset(), everything, 12)
    assert [(each.path, each.score) for each in found] == [(each.path, each.score) for each in wanted]
    assert [each.score for each in wanted] != [each.score for each in everything_ranked[:2]]  # or it would show nothing


def test_a_passage_is_authorised_once_a_question(tmp_path: Path) -> None:
    asked: list[PassageRef] = []
    retriever = with_vectors(tmp_path, [document(f"{n}.txt", f"The valve {n}") for n in range(4)])
    retriever.retrieve("valve", frozenset(), lambda ref: bool(asked.append(ref)), 5)
    assert len(asked) == len(set(asked)) == 4


def test_an_authorisation_that_fails_is_not_passed_over(tmp_path: Path) -> None:
    def broken(_passage: PassageRef) -> bool:
        raise RuntimeError("the policy cannot be read")

    with pytest.raises(RuntimeError, match="policy"):
        opened(tmp_path, [document("a.txt", "valve")]).retrieve("valve", frozenset(), broken, 1)


def test_a_document_that_may_not_be_kept_any_more_is_not_shown(tmp_path: Path) -> None:
    made = build(tmp_path, [document("old.txt", "valve", retain_until="2026-03-31"), document("new.txt", "valve")])
    directory = made.outputs["index"].directory
    for day, shown in ((date(2026, 3, 31), {"old.txt", "new.txt"}), (date(2026, 4, 1), {"new.txt"})):
        assert set(paths(ask(Retriever.open(directory, today=lambda day=day: day), "valve"))) == shown


def test_a_clock_that_is_set_back_shows_no_document_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = build(tmp_path, [document("old.txt", "valve", retain_until="2026-03-31"), document("new.txt", "valve")])
    noon = datetime(2026, 4, 1, 12, tzinfo=UTC).timestamp()
    clock = {"wall": noon, "elapsed": 0.0}
    moved = WallClock(lambda: clock["wall"], lambda: clock["elapsed"])
    monkeypatch.setattr(retrieving, "WallClock", lambda: moved)
    index = Retriever.open(made.outputs["index"].directory)
    assert set(paths(ask(index, "valve"))) == {"new.txt"}
    clock.update(wall=noon - 86_400, elapsed=60.0)
    assert set(paths(ask(index, "valve"))) == {"new.txt"}


def test_equally_good_passages_are_in_a_fixed_order(tmp_path: Path) -> None:
    twins = [document(f"{number}.txt", "the same valve", labels=[LABELS[number % 3]]) for number in range(9)]
    found = ask(opened(tmp_path, twins), "valve", *LABELS)
    backwards = ask(opened(tmp_path, twins[::-1]), "valve", *LABELS)
    assert backwards == found
    assert len(found) == 9


def test_of_passages_with_the_same_score_the_lower_document_is_first(tmp_path: Path) -> None:
    # By words the first of these is better, by sense the second.
    texts = ("cat cat tax", "the cat naps quietly on a rug for most of the day")
    for names in (("a.txt", "b.txt"), ("b.txt", "a.txt")):
        both = [document(name, text) for name, text in zip(names, texts, strict=True)]
        found = ask(with_vectors(tmp_path, both), "sleeping cat")
        assert found[0].score == found[1].score
        assert found[0].document < found[1].document


def test_words_count_as_in_one_index_of_all_that_a_caller_sees(tmp_path: Path) -> None:
    # "valve" is rare where everybody reads and in every passage of the others: it says little to who sees both.
    texts = {"open.txt": "valve", **{f"other{n}.txt": "pump" for n in range(5)}}
    labelled = [document(f"c{n}.txt", "valve", labels=["clinical"]) for n in range(20)]
    mixed = [document(path, text) for path, text in texts.items()] + [
        document("pumps.txt", "pump pump", labels=["clinical"])
    ]
    retriever = opened(tmp_path, mixed + labelled)
    one_partition = opened(tmp_path, [{**row, "labels": []} for row in mixed + labelled])
    wanted = paths(ask(one_partition, "valve pump", limit=30))
    assert set(paths(ask(retriever, "valve pump", "clinical", limit=30))[:6]) == set(wanted[:6])


STRANGE = ["", " ", "…", "\x00", "x" * 100_000, "[CLS] " * 1000, "\ufffd\u202e\U000e0041"]


@pytest.mark.parametrize("query", STRANGE, ids=range(len(STRANGE)))
def test_any_question_has_an_answer(query: str, tmp_path: Path) -> None:
    retriever = with_vectors(tmp_path, [document("a.txt", "the valve")])
    assert len(ask(retriever, query)) <= 1


def test_several_threads_get_what_one_gets(directory: Path) -> None:
    alone = Retriever.open(directory, minilm())
    asked = [(question, held) for question in QUESTIONS for held in SETS]
    wanted = [ask(alone, question, *held) for question, held in asked]
    shared = Retriever.open(directory, minilm())

    def answer(each: tuple[str, frozenset[str]]) -> list[Passage]:
        return shared.retrieve(each[0], each[1], everything, 10)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(answer, asked)) == wanted


def test_a_caller_without_labels_where_all_is_labelled_gets_nothing(tmp_path: Path) -> None:
    retriever = opened(tmp_path, [document("a.txt", "valve", labels=["clinical"])])
    assert ask(retriever, "valve") == []
    assert ask(retriever, "valve", "clinical", limit=0) == []


def test_what_is_not_near_enough_is_left_out(tmp_path: Path) -> None:
    far = [document("cat.txt", "A cat sleeps on the sofa."), document("tax.txt", "Value added tax is due in May.")]
    retriever = with_vectors(tmp_path, far)
    everywhere = retriever.retrieve("kitten", frozenset(), everything, 5, -1.0)
    assert paths(everywhere) == ["cat.txt", "tax.txt"]
    nearest, other = (passage.cosine for passage in everywhere)
    assert nearest is not None
    assert other is not None
    between = (nearest + other) / 2
    assert paths(retriever.retrieve("kitten", frozenset(), everything, 5, between)) == ["cat.txt"]
    assert paths(opened(tmp_path, far).retrieve("cat", frozenset(), everything, 5, 0.99)) == ["cat.txt"]


ONE = {"labels": [], "documents": 1, "passages": 1}


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        ({"format": 3}, "format 3"),
        ({"format": 1}, "format 1"),
        ({"partitions": [{"folder": "../../elsewhere", "labels": [], "documents": 1, "passages": 1}]}, "elsewhere"),
        (
            {"partitions": [{"folder": partition_name(["secret"]), "labels": [], "documents": 1, "passages": 1}]},
            "folder",
        ),
        ({"words": "many"}, "cannot be read"),
        ({"more": 1}, "cannot be read"),
    ],
)
def test_an_index_that_does_not_mean_well_is_refused(wrong: dict[str, Any], refusal: str, tmp_path: Path) -> None:
    directory = build(tmp_path, [document("a.txt", "valve")]).outputs["index"].directory
    written = json.loads((directory / INDEX).read_text())
    (directory / INDEX).write_text(json.dumps({**written, **wrong}))
    with pytest.raises((UserError, Failure), match=refusal):
        Retriever.open(directory)


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no index of passages"):
        Retriever.open(tmp_path)
