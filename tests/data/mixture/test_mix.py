"""Mixtures: shares, repetition, and held-out documents that stay unseen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from loresmith.data.asset_rows import AssetRows
from loresmith.data.curation.changing_text import EDIT_COLUMNS
from loresmith.data.looking import edits_of
from loresmith.data.places import place_of
from loresmith.data.steps.mix import MIX
from loresmith.data.tables import TableWriter
from loresmith.errors import UserError
from loresmith.evaluation.steps.decontaminate import DECONTAMINATE
from loresmith.evaluation.suite import SUITE_FILE, Case, Suite, write_suite
from loresmith.factory.step import InputAsset, Result
from loresmith.sdk.mixtures import sources_of
from tests.data.tables import files_of, rows
from tests.data.written_corpora import corpus_of, document
from tests.step_context import RecordingContext, run_step

SENTENCE = "the pump of unit {} in hall {} is checked by the night shift before it starts again at {} o'clock sharp "


def text(name: str, number: int, repeats: int = 2) -> str:
    return "".join(SENTENCE.format(f"{name}{number}", number * 7 + each, number * 13 + each) for each in range(repeats))


def side(number: int) -> str:
    return {0: "validation", 1: "test"}.get(number, "train")


def corpus(name: str, documents: int, folder: Path, **changes: Any) -> Path:
    return corpus_of(
        [document(f"{name}/{n}.txt", text(name, n), split=side(n), **changes) for n in range(documents)],
        folder / name,
    )


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("corpora")
    return {
        "manuals": corpus("manuals", 62, folder, labels=["restricted"]),
        "tickets": corpus("tickets", 22, folder, language="de"),
    }


def mix(corpora: Mapping[str, Path], folder: Path, seed: int = 0, **config: Any) -> Result:
    inputs = {
        f"corpora.{name}": InputAsset(digest="0" * 64, kind="corpus", directory=path, metadata={}, labels=())
        for name, path in corpora.items()
    }
    return run_step(MIX, folder, config, inputs, RecordingContext(folder, seed=seed))


def trained(result: Result) -> list[dict[str, Any]]:
    return [row for row in rows(result.outputs["corpus"].directory) if row["split"] == "train"]


def bytes_by_source(documents: list[dict[str, Any]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in documents:
        counts[row["source"]] += row["bytes"]
    return counts


def test_each_source_has_its_share_and_is_repeated_no_more_than_it_may_be(
    corpora: dict[str, Path], tmp_path: Path
) -> None:
    sources = {"manuals": {"weight": 1}, "tickets": {"weight": 1, "epochs_cap": 2.5}}
    result = mix(corpora, tmp_path, sources=sources)
    drawn = trained(result)
    counts = bytes_by_source(drawn)
    assert abs(counts["tickets"] / sum(counts.values()) - 0.5) < 0.02
    times = Counter(row["id"] for row in drawn if row["source"] == "tickets")
    assert (set(times.values()), len(times)) == ({2, 3}, 20)
    assert sorted(row["repeat"] for row in drawn if row["source"] == "tickets") == [0] * 20 + [1] * 20 + [2] * 10
    assert {row["repeat"] for row in drawn if row["source"] == "manuals"} == {0}
    said = result.outputs["corpus"].metadata["sources"]["tickets"]
    assert said["train"]["epochs"] == pytest.approx(2.5, abs=0.05)
    assert said["train"]["repeated_documents"] == 30
    assert said["wanted_share"] == 0.5
    assert said["available"]["share"] == pytest.approx(0.25, abs=0.01)
    assert said["train"]["bytes"] == counts["tickets"]


def test_what_is_held_out_is_passed_through_once(corpora: dict[str, Path], tmp_path: Path) -> None:
    result = mix(corpora, tmp_path, sources={"manuals": {"weight": 9}, "tickets": {"weight": 1}}, target_bytes=3000)
    held_out = [row for row in rows(result.outputs["corpus"].directory) if row["split"] != "train"]
    assert sorted((row["path"], row["split"], row["repeat"]) for row in held_out) == [
        ("manuals/0.txt", "validation", 0),
        ("manuals/1.txt", "test", 0),
        ("tickets/0.txt", "validation", 0),
        ("tickets/1.txt", "test", 0),
    ]
    said = result.outputs["corpus"].metadata["sources"]
    assert said["manuals"]["test"]["documents"] == 1
    assert said["manuals"]["test"]["share"] + said["tickets"]["test"]["share"] == pytest.approx(1)


def test_the_books_say_where_every_document_went(corpora: dict[str, Path], tmp_path: Path) -> None:
    result = mix(corpora, tmp_path, sources={"manuals": {"weight": 1, "where": "path LIKE '%2.txt'"}})
    documents = result.books.accounts[0]
    left = {(entry.disposition, entry.reason): entry.count for entry in documents.left}
    assert documents.entered == 84
    assert left == {("kept", ""): 6, ("dropped", "in no source"): 78}
    few = mix(corpora, tmp_path / "few", sources={"tickets": {}}, target_bytes=1000)
    left = {(entry.disposition, entry.reason): entry.count for entry in few.books.accounts[0].left}
    assert left["dropped", "not drawn"] + left["kept", ""] == 22
    assert set(few.outputs["corpus"].labels) == set()
    assert set(result.outputs["corpus"].labels) == {"restricted"}


def test_sources_are_told_apart_within_one_corpus(corpora: dict[str, Path], tmp_path: Path) -> None:
    sources = {"long": {"where": "path LIKE '%5.txt'", "weight": 1, "epochs_cap": 3}, "rest": {"weight": 2}}
    result = mix({"manuals": corpora["manuals"]}, tmp_path, sources=sources, target_bytes=4000)
    counts = bytes_by_source(trained(result))
    assert counts["long"] / counts["rest"] == pytest.approx(0.5, abs=0.1)
    assert {row["path"] for row in trained(result) if row["source"] == "long"} <= {
        f"manuals/{n}.txt" for n in range(5, 62, 10)
    }


def test_near_identical_documents_of_two_corpora_are_on_the_held_out_side(tmp_path: Path) -> None:
    shared = text("shared", 3, repeats=8)
    one = corpus_of(
        [document(f"a{n}", text("a", n)) for n in range(5)] + [document("a-copy", shared + "so it says")],
        tmp_path / "one",
    )
    other = corpus_of(
        [document(f"b{n}", text("b", n)) for n in range(5)] + [document("b-copy", shared, split="test")],
        tmp_path / "other",
    )
    result = mix({"one": one, "other": other}, tmp_path / "mixed")
    found = {row["path"]: row for row in rows(result.outputs["corpus"].directory)}
    assert found["a-copy"]["split"] == found["b-copy"]["split"] == "test"
    assert found["a-copy"]["group"] == found["b-copy"]["group"]
    assert {row["split"] for path, row in found.items() if "copy" not in path} == {"train"}
    books = {row["path"]: row for row in rows(result.outputs["corpus"].directory, "books.parquet")}
    assert (books["a-copy"]["disposition"], books["a-copy"]["reason"]) == ("kept", "moved to test")
    assert result.outputs["corpus"].metadata["moved_documents"] == 1


def test_a_document_that_is_in_two_corpora_is_there_once(tmp_path: Path) -> None:
    same = document("same.txt", text("same", 1))
    one = corpus_of([same, document("a.txt", text("a", 1))], tmp_path / "one")
    other = corpus_of([{**same, "split": "validation"}, document("b.txt", text("b", 1))], tmp_path / "other")
    result = mix({"one": one, "other": other}, tmp_path / "mixed")
    found = [row for row in rows(result.outputs["corpus"].directory) if row["path"] == "same.txt"]
    assert [(row["source"], row["split"]) for row in found] == [("one", "validation")]
    assert ("merged", "there already") in {
        (row["disposition"], row["reason"]) for row in rows(result.outputs["corpus"].directory, "books.parquet")
    }


def test_a_document_that_is_in_several_corpora_is_there_on_the_terms_of_all(tmp_path: Path) -> None:
    same, own = document("same.txt", text("same", 1)), {"licence": "MIT", "retain_until": "2033-01-01"}
    said = [
        {"uses": ["evaluate", "retrieve", "train"], "licence": "MIT", "labels": ["hr"]},
        {"uses": ["retrieve", "train"], "licence": "CC-BY-4.0", "owner": "HR", "retain_until": "2032-01-31"},
        {"uses": ["evaluate", "train"], "labels": ["board"], "owner": "HR", "retain_until": "2031-01-31"},
    ]
    corpora = {
        f"c{number}": corpus_of(
            [{**same, **terms}, document(f"{number}.txt", text("a", number), **own)], tmp_path / f"{number}"
        )
        for number, terms in enumerate(said)
    }
    result = mix(corpora, tmp_path / "mixed", sources={name: {"epochs_cap": 2} for name in corpora})
    found = rows(result.outputs["corpus"].directory)
    columns = ("licence", "owner", "labels", "uses", "retain_until")
    shown = {tuple(map(str, (row[name] for name in columns))) for row in found if row["path"] == "same.txt"}
    assert shown == {("CC-BY-4.0, MIT", "HR", "['board', 'hr']", "['train']", "2031-01-31")}
    others = {tuple(map(str, (row[name] for name in columns))) for row in found if row["path"] != "same.txt"}
    assert others == {("MIT", "", "[]", "['train']", "2033-01-01")}
    assert result.outputs["corpus"].labels == ("board", "hr")
    assert result.outputs["corpus"].metadata["first_retain_until"] == "2031-01-31"


def test_a_document_that_has_another_text_in_two_corpora_is_refused(tmp_path: Path) -> None:
    same = document("same.txt", text("same", 1))
    masked = {**document("same.txt", "[EMAIL] " + same["text"]), "id": same["id"]}
    one = corpus_of([same, document("a.txt", text("a", 1))], tmp_path / "one")
    other = corpus_of([masked, document("b.txt", text("b", 1))], tmp_path / "other")
    with pytest.raises(UserError, match="1 documents are in two of the corpora, with another text"):
        mix({"one": one, "other": other}, tmp_path / "mixed")


def test_what_is_cut_out_of_a_mixture_leaves_it_a_mixture(tmp_path: Path) -> None:
    case = " ".join(f"word{number}" for number in range(40))
    held = [document(f"held{n}.txt", f"{text('held', n, 9)}\n\n{case}\n\n{text('more', n, 9)}") for n in range(4)]
    only = [document(f"only{n}.txt", f"{case} {n}") for n in range(2)]
    others = [document(f"other{n}.txt", text("other", n, 9), split=side(n)) for n in range(9)]
    corpora = {"cases": corpus_of([*held, *only], tmp_path / "1"), "others": corpus_of(others, tmp_path / "2")}
    mixed = mix(corpora, tmp_path / "mixed", sources={"cases": {"weight": 3, "epochs_cap": 2}, "others": {}})
    suite = tmp_path / "suite"
    suite.mkdir()
    write_suite(Suite(name="exam", cases=(Case(name="one", prompt=case, expected="yes"),)), suite / SUITE_FILE)
    made = mixed.outputs["corpus"]
    inputs = {
        "corpus": InputAsset("1" * 64, "corpus", made.directory, made.metadata, ()),
        "suites.1": InputAsset("2" * 64, "suite", suite, {}, ()),
    }
    cut = run_step(DECONTAMINATE, tmp_path / "cut", {"around": 0}, inputs).outputs["corpus"]
    found, before = rows(cut.directory), rows(made.directory)
    key = ("path", "source", "repeat", "split")
    assert [tuple(row[name] for name in key) for row in found] == [
        tuple(row[name] for name in key) for row in before if not row["path"].startswith("only")
    ]
    assert {row["repeat"] for row in found} == {0, 1}
    sources = cut.metadata["sources"]
    assert sum(source["train"]["share"] for source in sources.values()) == pytest.approx(1, abs=1e-5)
    for name, source in sources.items():
        for split in ("train", "validation", "test"):
            mine = [row for row in found if row["source"] == name and row["split"] == split]
            assert (source[split]["documents"], source[split]["bytes"]) == (
                len(mine),
                sum(row["bytes"] for row in mine),
            )
        again = sum(row["bytes"] for row in found if row["source"] == name and row["repeat"])
        assert source["train"]["repeated_bytes"] == again
        assert source["available"] == made.metadata["sources"][name]["available"]
    assert {source.name for source in sources_of(cut.metadata)} == {"cases", "others"}


def test_a_curriculum_ascends_in_each_source(tmp_path: Path) -> None:
    documents = [document(f"{n}.txt", text("x", n, repeats=1 + (n * 17) % 30)) for n in range(60)]
    scores = [{"scores": [("words", float((n * 17) % 30))]} for n in range(60)]
    folder = corpus_of(documents, tmp_path / "corpus", scores)
    sources = {"even": {"where": "path LIKE '%0.txt' OR path LIKE '%4.txt'"}, "rest": {}}
    for number, curriculum in enumerate(({"by": "scores.words"}, {"by": "bytes", "descending": True})):
        result = mix({"c": folder}, tmp_path / str(number), sources=sources, curriculum=curriculum)
        for source in sources:
            mine = [row for row in trained(result) if row["source"] == source]
            sizes = [row["bytes"] if number else int(row["path"].removesuffix(".txt")) * 17 % 30 for row in mine]
            assert sizes == sorted(sizes, reverse=bool(number))
            assert len(sizes) > 5


def test_stages_have_their_own_weights(corpora: dict[str, Path], tmp_path: Path) -> None:
    stages = [
        {"share": 0.75, "weights": {"manuals": 1, "tickets": 0}},
        {"share": 0.25, "weights": {"manuals": 0, "tickets": 1}},
    ]
    sources: dict[str, Any] = {"manuals": {}, "tickets": {}}
    result = mix(corpora, tmp_path, sources=sources, curriculum={"stages": stages})
    order = [row["source"] for row in trained(result)]
    assert order == sorted(order)
    said = result.outputs["corpus"].metadata["sources"]
    assert said["manuals"]["train"]["stages"][1] == said["tickets"]["train"]["stages"][0] == 0
    assert said["tickets"]["train"]["share"] == pytest.approx(0.25, abs=0.02)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(corpora: dict[str, Path], tmp_path: Path) -> None:
    made = [
        files_of(mix(corpora, tmp_path / str(n), seed=seed, target_bytes=5000).outputs["corpus"].directory)
        for n, seed in enumerate((1, 1, 2))
    ]
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_a_span_of_an_edited_text_is_still_traced(tmp_path: Path) -> None:
    original, kept = "gone gone " + text("x", 1), text("x", 1)
    edited = document("x.txt", kept, source_bytes=len(original), pieces=[{"at": 0, "start": 10, "length": len(kept)}])
    edits = [{"id": edited["id"], "path": "x.txt", "rule": "r", "start": 0, "end": 10, "before_bytes": 10}]
    one = corpus_of([edited], tmp_path / "one")
    other = corpus_of([document("y.txt", text("y", 1)), edited], tmp_path / "other")
    for folder in (one, other):
        with TableWriter(folder / "edits.parquet", EDIT_COLUMNS) as table:
            table.add({**edits[0], "after_bytes": 0})
    result = mix({"one": one, "other": other}, tmp_path / "mixed")
    directory = result.outputs["corpus"].directory
    row = next(row for row in rows(directory) if row["path"] == "x.txt")
    found = edits_of(directory, [row["id"]])[row["id"]]
    assert (place_of(row, 0, 4, found).start, place_of(row, 0, 4, found).exact) == (10, True)


def test_a_mixture_can_be_looked_at(corpora: dict[str, Path], tmp_path: Path) -> None:
    result = mix(corpora, tmp_path)
    asset = AssetRows(result.outputs["corpus"].directory)
    assert {"source", "repeat"} <= set(asset.schema.names)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"sources": {"manuls": {}}}, "it does not say which corpus 'manuls' is in"),
        ({"sources": {"x": {"corpus": "manuls"}}}, "unknown corpus 'manuls'; did you mean 'manuals'?"),
        ({"sources": {"manuals": {}, "x": {"corpus": "manuals"}}}, "both take all that is left of manuals"),
        ({"sources": {"manuals": {"where": "laguage = 'de'"}}}, "did you mean 'language'?"),
        ({"sources": {"manuals": {"where": "path = 'nowhere'"}}}, "has no document to train on"),
        ({"sources": {"manuals": {"weight": 0}}}, "no source has a weight in stage 1"),
        (
            {"sources": {n: {"corpus": "manuals", "where": "bytes > 1"} for n in "ab"}},
            "is in two sources: a and b",
        ),
        ({"curriculum": {"by": "scores.words"}}, "unknown column 'scores'"),
        ({"curriculum": {"by": "path"}}, "path is text, and a number is needed"),
        ({"curriculum": {"stages": [{"share": 1, "weights": {"ticket": 1}}]}}, "did you mean 'tickets'?"),
    ],
)
def test_a_mistake_is_named(corpora: dict[str, Path], tmp_path: Path, config: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as refused:
        mix(corpora, tmp_path, **config)
    assert said in str(refused.value)


def test_stages_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"add up to 0\.9, not to 1"):
        MIX.config.model_validate({"curriculum": {"stages": [{"share": 0.5}, {"share": 0.4}]}})
