"""A corpus without the cases of suites: what goes, what stays, and that the books say so to the byte."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loresmith.data.contamination.case_index import Rule
from loresmith.data.contamination.decontaminate import Decontaminated, Measures, decontaminate
from loresmith.data.contamination.findings import MOST_DOCUMENTS
from loresmith.data.curation.changing_text import EDIT_COLUMNS
from loresmith.data.engine.local_engine import local_engine
from loresmith.errors import UserError
from tests.data.written_corpora import write_corpus
from tests.step_context import RecordingContext

from .suite_texts import batches, prose

CASE, OTHER = prose(1, 40), prose(2, 40)
CASES = [("suite", "one", CASE), ("suite", "two", OTHER), ("empty", "three", prose(3, 40))]
CLEAN = prose(50, 120)
HOLDING = f"{prose(51, 100)}\n\nFirst {CASE} of them\n\n{prose(52, 100)}"


def cleaned(
    folder: Path,
    corpus: Path,
    context: RecordingContext | None = None,
    workers: int = 1,
    cases: Sequence[tuple[str, str, str]] = CASES,
    **settings: Any,
) -> Decontaminated:
    measures = {
        "rule": Rule(),
        "remedy": "drop-span",
        "splits": ("train",),
        "around": 0,
        "most_cuts": 10,
        "minimum_bytes": 64,
        **settings,
    }
    target = folder / "target"
    target.mkdir(parents=True, exist_ok=True)
    with local_engine(workers, 1 << 30, folder / "tables") as engine:
        result = decontaminate(
            corpus,
            target,
            lambda: batches(cases),
            ("suite", "empty"),
            Measures(**measures),
            folder / "work",
            engine,
            context or RecordingContext(folder),
        )
    result.books.require_balance("decontaminate")
    return result


def table(folder: Path, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(sorted((folder / "target").glob(name))).to_pylist()
    return rows


def texts(folder: Path) -> list[str]:
    return [row["text"] for row in table(folder, "documents-*.parquet")]


def left(result: Decontaminated, unit: str) -> dict[tuple[str, str], int]:
    (account,) = (account for account in result.books.accounts if account.unit == unit)
    return {(entry.disposition, entry.reason): entry.count for entry in account.left}


def test_the_stretch_that_holds_a_case_is_cut_out(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [CLEAN, HOLDING])
    result = cleaned(tmp_path, corpus)
    before, after = HOLDING.split(CASE)
    assert texts(tmp_path) == [CLEAN, f"{before}\n\n{after}"]
    assert left(result, "documents") == {("kept", ""): 2}
    assert left(result, "bytes") == {
        ("kept", ""): len((CLEAN + before + after).encode()),
        ("dropped", "contaminated"): len(CASE.encode()),
    }
    (edit,) = table(tmp_path, "edits.parquet")
    assert HOLDING[edit["start"] : edit["end"]] == CASE
    assert (edit["rule"], edit["before_bytes"], edit["after_bytes"]) == ("contamination", len(CASE), 2)
    rows = table(tmp_path, "documents-*.parquet")
    kept = [(piece["start"], piece["length"]) for piece in rows[1]["pieces"]]
    assert "".join(HOLDING[start : start + length] for start, length in kept) == before + after
    assert rows[1]["bytes"] == len(rows[1]["text"].encode())

    (finding,) = table(tmp_path, "contamination.parquet")
    assert (finding["suite"], finding["case"], finding["kind"], finding["score"]) == ("suite", "one", "exact", 1.0)
    assert HOLDING[finding["start"] : finding["end"]] == CASE
    assert [row["detail"] for row in table(tmp_path, "books.parquet")] == ["", "holds one of suite"]
    assert result.findings.suites["suite"].facts() == {
        "cases": 2,
        "judged": 2,
        "too_short": 0,
        "shared_wording": 0,
        "ordinary_wording": 0,
        "exact": 1,
        "near": 0,
        "documents": 1,
    }
    assert result.findings.suites["empty"].found == {}

    again = write_corpus(tmp_path / "again", texts(tmp_path))
    assert cleaned(tmp_path / "second", again).findings.suites["suite"].found == {}


def test_a_short_case_that_many_documents_hold_is_ordinary_wording(tmp_path: Path) -> None:
    short, longer = "Seal of model 2? S-222", "Which seal has model two? That with the number S-222"
    cases = [("suite", "short", short), ("suite", "longer", longer)]

    def written(name: str, documents: int) -> Path:
        held = [f"{prose(200 + n, 60)}\n\n{short}\n\n{longer}\n\n{prose(300 + n, 60)}" for n in range(documents)]
        return write_corpus(tmp_path / name, [CLEAN, *held])

    few, many = tmp_path / "few", tmp_path / "many"
    found = cleaned(few, written("ten", MOST_DOCUMENTS), cases=cases).findings.suites["suite"]
    assert found.found["short"].documents == MOST_DOCUMENTS
    assert not any("S-222" in text for text in texts(few))

    result = cleaned(many, written("more", MOST_DOCUMENTS + 1), workers=2, cases=cases)
    found = result.findings.suites["suite"]
    assert (found.found.keys(), found.documents) == ({"longer"}, MOST_DOCUMENTS + 1)
    assert {name: found.facts()[name] for name in ("cases", "judged", "ordinary_wording")} == {
        "cases": 2,
        "judged": 1,
        "ordinary_wording": 1,
    }
    assert [short in text for text in texts(many)] == [False, *[True] * (MOST_DOCUMENTS + 1)]
    assert not any(longer in text for text in texts(many))
    assert {row["case"] for row in table(many, "contamination.parquet")} == {"longer"}


def test_a_document_that_a_mixture_repeats_holds_a_short_case_once(tmp_path: Path) -> None:
    short = "Seal of model 2? S-222"
    once = write_corpus(tmp_path / "corpus", [CLEAN, f"{CLEAN} {short} {OTHER[:60]}"])
    (file,) = once.glob("documents-*.parquet")
    rows = pq.read_table(file)
    pq.write_table(pa.concat_tables([rows] * (MOST_DOCUMENTS + 1)), file)
    result = cleaned(tmp_path, once, cases=[("suite", "short", short)])
    assert result.findings.suites["suite"].found["short"].documents == MOST_DOCUMENTS + 1
    assert not any(short in text for text in texts(tmp_path))


def test_what_stands_around_a_case_goes_with_it_to_the_end_of_the_word(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [f"{CASE} {prose(60, 40)}", HOLDING])
    cleaned(tmp_path, corpus, around=30)
    first, second = texts(tmp_path)
    assert prose(60, 40).endswith(first.strip())
    assert 30 <= len(prose(60, 40)) - len(first.strip()) < 40
    assert not first.startswith("\n\n"), "nothing stands before it"
    before, after = second.split("\n\n", 2)[0], second.rsplit("\n\n", 1)[1]
    assert HOLDING.startswith(before)
    assert HOLDING.endswith(after)
    assert len(HOLDING.split(CASE)[0]) - len(before) >= 30
    assert set(second.split()) <= set(HOLDING.split()), "no word is cut in two"


def test_documents_can_be_dropped_or_left(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [CLEAN, HOLDING])
    result = cleaned(tmp_path, corpus, remedy="drop-document")
    assert texts(tmp_path) == [CLEAN]
    assert left(result, "bytes")["dropped", "contaminated"] == len(HOLDING.encode())
    assert result.splits["train"] == {"documents": 1, "bytes": len(CLEAN), "groups": 1}

    result = cleaned(tmp_path, corpus, remedy="flag")
    assert texts(tmp_path) == [CLEAN, HOLDING]
    assert left(result, "documents") == {("kept", ""): 2}
    assert [row["case"] for row in table(tmp_path, "contamination.parquet")] == ["one"]
    assert not (tmp_path / "target" / "edits.parquet").exists()


def test_a_document_of_many_cuts_or_of_little_else_is_dropped(tmp_path: Path) -> None:
    many = " ".join(f"{CASE} {prose(70 + n, 30)}" for n in range(4))
    little = f"as it says: {CASE} and so on"
    corpus = write_corpus(tmp_path / "corpus", [CLEAN, many, little])
    assert len(texts_of(cleaned(tmp_path, corpus), tmp_path)) == 2
    assert texts_of(cleaned(tmp_path, corpus, most_cuts=3), tmp_path) == [CLEAN]
    with pytest.raises(UserError, match="nothing is left"):
        cleaned(tmp_path, write_corpus(tmp_path / "all", [little]))


def texts_of(_result: Decontaminated, folder: Path) -> list[str]:
    return texts(folder)


def test_only_the_splits_that_are_asked_for_are_looked_at(tmp_path: Path) -> None:
    splits = ["train", "test", "validation"]
    corpus = write_corpus(tmp_path / "corpus", [f"{HOLDING} {n}" for n in range(3)], split=splits)
    result = cleaned(tmp_path, corpus)
    assert [CASE in text for text in texts(tmp_path)] == [False, True, True]
    assert result.findings.suites["suite"].documents == 1
    cleaned(tmp_path, corpus, splits=("train", "test"))
    assert [CASE in text for text in texts(tmp_path)] == [False, False, True]


def test_places_lead_back_to_the_text_as_it_was_read(tmp_path: Path) -> None:
    """The corpus came of an edit that cut the first twenty characters, and left a mark that was not there."""
    read = "x" * 20 + HOLDING
    corpus = write_corpus(
        tmp_path / "corpus",
        [f"[cut]{HOLDING}"],
        pieces=[[{"at": 5, "start": 20, "length": len(HOLDING)}]],
        labels=[["restricted"]],
    )
    result = cleaned(tmp_path, corpus)
    (edit,) = table(tmp_path, "edits.parquet")
    assert read[edit["start"] : edit["end"]] == CASE
    (row,) = table(tmp_path, "documents-*.parquet")
    for piece in row["pieces"]:
        at, start, length = piece["at"], piece["start"], piece["length"]
        assert row["text"][at : at + length] == read[start : start + length]
    assert result.labels == {"restricted"}


def test_the_edits_of_curation_stay_with_the_corpus(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [CLEAN])
    earlier = {"id": "0", "path": "a.txt", "rule": "repair", "start": 1, "end": 2, "before_bytes": 1, "after_bytes": 0}
    pq.write_table(pa.Table.from_pylist([earlier], EDIT_COLUMNS), corpus / "edits.parquet")
    cleaned(tmp_path, corpus)
    assert table(tmp_path, "edits.parquet") == [earlier]


def test_scores_stay_with_the_corpus(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [CLEAN, HOLDING])
    (corpus / "scores.parquet").write_bytes(b"as curation wrote it")
    cleaned(tmp_path, corpus)
    assert (tmp_path / "target" / "scores.parquet").read_bytes() == b"as curation wrote it"
