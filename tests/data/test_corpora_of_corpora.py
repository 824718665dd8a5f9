"""What `mix` and `decontaminate` say of the rights of what they made, and of the pictures they made it without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loresmith.data.rights_summary import rights_facts
from loresmith.data.steps import MIX
from loresmith.evaluation.steps import DECONTAMINATE, INGEST_SUITE
from loresmith.factory.step import Result, Step
from tests.data.duplicate_corpora import prose
from tests.data.tables import files_of, rows
from tests.data.test_media_documents import curated, documents, fates, medium
from tests.data.written_corpora import document
from tests.step_context import as_input, run_step

LAST = "2999-01-01"


def made(step: Step[Any], role: str, folder: Path, kept: Result, **config: Any) -> Result:
    result = run_step(step, folder, config, {role: as_input("corpus", kept.outputs["corpus"])})
    result.books.require_balance(step.name)
    return result


@pytest.fixture
def kept(tmp_path: Path) -> Result:
    texts = [
        document("mine.txt", prose(1), licence="MIT", owner="press", retain_until=LAST, labels=["internal"]),
        document("yours.txt", prose(2), licence="BSD", owner="sales"),
    ]
    given = documents(tmp_path / "in", [*texts, medium("plan.png"), medium("talk.wav", "audio/wav")])
    return curated(tmp_path / "curated", given, validation_share=0, test_share=0)


def test_pictures_and_recordings_that_stay_behind_are_in_the_books(kept: Result, tmp_path: Path) -> None:
    for step, role in ((MIX, "corpora.all"), (DECONTAMINATE, "corpus")):
        result = made(step, role, tmp_path / step.name, kept)
        folder = result.outputs["corpus"].directory
        assert fates(result) == {("kept", ""): 2, ("dropped", "media"): 2}
        gone = [row for row in rows(folder, "books.parquet") if row["disposition"] == "dropped"]
        assert [(row["path"], row["detail"]) for row in gone] == [("plan.png", "image/png"), ("talk.wav", "audio/wav")]
        assert not list(folder.glob("media-*"))
        assert "media" not in result.outputs["corpus"].metadata
        again = made(step, role, tmp_path / f"{step.name}-again", kept)
        assert files_of(folder) == files_of(again.outputs["corpus"].directory)


def test_their_facts_say_whose_what_is_in_them_is(kept: Result, tmp_path: Path) -> None:
    sources = {"mine": {"where": "owner = 'press'", "corpus": "all"}}
    mixed = made(MIX, "corpora.all", tmp_path / "mixed", kept, sources=sources).outputs["corpus"]
    assert mixed.metadata["rights"]["owners"] == {"press": {"documents": 1, "bytes": mixed.metadata["bytes"]}}
    assert mixed.metadata["first_retain_until"] == LAST
    before = kept.outputs["corpus"].metadata
    same = made(DECONTAMINATE, "corpus", tmp_path / "same", kept).outputs["corpus"]
    assert same.metadata["rights"] == before["rights"]
    given = documents(tmp_path / "more", [document("mine.txt", prose(1), retain_until=LAST), document("b", prose(2))])
    whole = curated(tmp_path / "whole", given, validation_share=0, test_share=0)
    assert whole.outputs["corpus"].metadata["first_retain_until"] == LAST
    (tmp_path / "cases.jsonl").write_text(json.dumps({"id": "one", "prompt": prose(1)[:200], "answer": "yes"}))
    suite = run_step(INGEST_SUITE, tmp_path / "suite", {"path": str(tmp_path / "cases.jsonl")}, {})
    inputs = {
        "corpus": as_input("corpus", whole.outputs["corpus"]),
        "suites.1": as_input("suite", suite.outputs["suite"]),
    }
    less = run_step(DECONTAMINATE, tmp_path / "less", {"overlap": "drop-document"}, inputs).outputs["corpus"]
    assert {row["path"] for row in rows(less.directory)} == {"b"}
    assert less.metadata["rights"] == rights_facts(less.directory)["rights"]
    assert "first_retain_until" not in less.metadata
