"""Documents that may not be kept any more are never used because nobody asked which day it is."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.corpus import require_use
from loresmith.data.retention import Overdue, overdue, require_in_time
from loresmith.data.rights_summary import rights_facts
from loresmith.data.steps import CURATE, PACK, TRAIN_TOKENIZER
from loresmith.data.steps.extend_vocabulary import EXTEND_VOCABULARY
from loresmith.errors import UserError
from tests.data.duplicate_corpora import prose
from tests.data.tables import files_of, ingest, rows, write_files
from tests.data.written_corpora import corpus_of, document
from tests.step_context import as_input, run_step

PAST, FUTURE = "2020-01-31", "2999-12-31"
WHOLE = {"validation_share": 0, "test_share": 0}
SIDECARS = {"old/.rights.yaml": f"retain_until: {PAST}\n", "new/.rights.yaml": f"retain_until: {FUTURE}\n"}


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text("ab/c", min_size=1), st.sampled_from(["", "2026-05-04", "2026-05-05", "2027-01-01"])))
def test_a_document_may_be_kept_through_its_last_day(
    tmp_path_factory: pytest.TempPathFactory, days: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    corpus_of([document(path, path, retain_until=day) for path, day in days.items()], folder)
    for on in (date(2026, 5, 4), date(2026, 5, 5), date(2026, 5, 6), date(2028, 1, 1)):
        late = [(path, day) for path, day in days.items() if day and date.fromisoformat(day) < on]
        if not late:
            assert overdue(folder, on) is None
            require_in_time(folder, on)
            continue
        paths = tuple(path for path, _ in late[:3])
        assert overdue(folder, on) == Overdue(len(late), min(day for _, day in late), paths, on)
        with pytest.raises(UserError, match="kept too long"):
            require_use(folder, "train", on)


def test_it_says_how_many_which_since_when_and_what_to_do(tmp_path: Path) -> None:
    days = [FUTURE, "", *(f"2021-01-0{5 - n}" for n in range(5))]
    corpus_of([document(f"{n}.txt", str(n), retain_until=day) for n, day in enumerate(days)], tmp_path)
    with pytest.raises(UserError) as told:
        require_in_time(tmp_path, date(2026, 11, 22))
    assert str(told.value).startswith(
        "5 documents have been kept too long, the earliest of their last days was 2021-01-01: 2.txt, 3.txt, 4.txt and "
        "2 more"
    )
    assert "as_of: 2026-11-22" in str(told.value.hint)
    assert "loresmith data erase" in str(told.value.hint)


def test_curation_stops_for_them_unless_it_is_told_the_day(tmp_path: Path) -> None:
    files = {f"{folder}/{n}.txt": prose(100 * ord(folder[0]) + n) for folder in ("old", "new", "x") for n in range(2)}
    made = ingest(write_files(tmp_path / "in", {**files, **SIDECARS}), tmp_path).outputs["documents"]
    given = {"documents": as_input("documents", made)}
    with pytest.raises(UserError, match=rf"2 documents have been kept too long.* {PAST}: old/0\.txt, old/1\.txt\n"):
        run_step(CURATE, tmp_path / "stopped", WHOLE, given)
    assert files_of(tmp_path / "stopped") == {}
    result = run_step(CURATE, tmp_path / "told", {**WHOLE, "as_of": "2026-11-22"}, given).outputs["corpus"]
    assert {row["path"] for row in rows(result.directory)} == set(files) - {"old/0.txt", "old/1.txt"}
    assert result.metadata["first_retain_until"] == FUTURE
    before = run_step(CURATE, tmp_path / "before", {**WHOLE, "as_of": PAST}, given).outputs["corpus"]
    assert before.metadata["first_retain_until"] == PAST
    only_new = ingest(tmp_path / "in", tmp_path / "n", exclude=["old"]).outputs["documents"]
    again = {"documents": as_input("documents", only_new)}
    undated = run_step(CURATE, tmp_path / "undated", WHOLE, again).outputs["corpus"]
    dated = run_step(CURATE, tmp_path / "dated", {**WHOLE, "as_of": "2026-11-22"}, again).outputs["corpus"]
    assert files_of(undated.directory) == files_of(dated.directory)
    assert undated.metadata == dated.metadata


def test_nothing_is_learnt_from_what_was_in_time_once(tmp_path: Path) -> None:
    corpus = corpus_of([document("a.txt", prose(1), retain_until=PAST), document("b.txt", prose(2))], tmp_path / "c")
    fresh = corpus_of([document("a.txt", prose(1), retain_until=FUTURE)], tmp_path / "fresh")
    require_use(fresh, "train")
    inputs = {"corpus": as_input("corpus", _Made(corpus)), "tokenizer": as_input("tokenizer", _Made(tmp_path))}
    for step, more in ((PACK, {}), (TRAIN_TOKENIZER, {}), (EXTEND_VOCABULARY, {"base": inputs["tokenizer"]})):
        with pytest.raises(UserError, match=f"one document has been kept too long, its last day was {PAST}: a.txt"):
            run_step(step, tmp_path / step.name, {}, {**inputs, **more})


class _Made:
    """A folder that a test filled, as a step's output."""

    labels = ()

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.metadata: dict[str, object] = {}


def test_rights_are_summed_up_by_documents_and_bytes(tmp_path: Path) -> None:
    documents = [
        document("a", "x" * 30, licence="MIT", owner="press", uses=["train", "retrieve"], labels=["internal"]),
        document("b", "x" * 20, licence="MIT", retain_until=FUTURE),
        document("c", "x" * 5, owner="press", retain_until="2030-01-01"),
    ]
    facts = rights_facts(corpus_of(documents, tmp_path))
    assert facts == {
        "rights": {
            "licences": {"MIT": {"documents": 2, "bytes": 50}, "not stated": {"documents": 1, "bytes": 5}},
            "owners": {"press": {"documents": 2, "bytes": 35}, "not stated": {"documents": 1, "bytes": 20}},
            "uses": {"train": {"documents": 3, "bytes": 55}, "retrieve": {"documents": 1, "bytes": 30}},
            "labels": {"internal": {"documents": 1, "bytes": 30}},
        },
        "first_retain_until": "2030-01-01",
    }
    many = [document(f"d{n}", "x" * (n + 1), owner=f"owner {n}") for n in range(103)]
    owners = rights_facts(corpus_of(many, tmp_path / "many"))["rights"]["owners"]
    assert owners["owner 102"] == {"documents": 1, "bytes": 103}
    assert owners["3 others"] == {"documents": 3, "bytes": 1 + 2 + 3}
    assert sum(amount["documents"] for amount in owners.values()) == 103
