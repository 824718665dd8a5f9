"""Corpora and suites in a workspace: each is held against the other when it is registered, and the lineage says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from loresmith import Workspace
from tests.data.contamination.suite_texts import prose
from tests.data.written_corpora import write_corpus

QUESTION, ANSWER = prose(1, 30), prose(2, 10)
CASES = [
    {"id": "leaked", "prompt": QUESTION, "answer": ANSWER},
    {"id": "unseen", "prompt": prose(3, 30), "answer": prose(4, 5)},
    {"id": "tiny", "prompt": "red?", "answer": "yes"},
]
CURATED = """
read: {step: ingest, path: docs}
curate: {step: curate, documents: read, validation_share: 0.2, test_share: 0.2}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "docs").mkdir()
    for number in range(12):  # in whichever split a document is, the case is in training text
        text = f"{prose(100 + number, 80)}\n\n{QUESTION}\n{ANSWER}\n\n{prose(200 + number, 80)}\n"
        (tmp_path / "docs" / f"{number}.txt").write_text(text)
    (tmp_path / "cases.jsonl").write_text("\n".join(map(json.dumps, CASES)))
    with Workspace.init(tmp_path) as made:
        yield made


def recipe(workspace: Workspace, name: str, steps: str) -> Path:
    path = workspace.place.folder / f"{name}.yaml"
    path.write_text(f"name: {name}\nsteps:\n  " + "\n  ".join(steps.strip().split("\n")) + "\n")
    return path


def states(workspace: Workspace, path: Path) -> dict[str, str]:
    return {step.name: step.state for step in workspace.plan(path).steps}


def receipts(workspace: Workspace, reference: str) -> list[tuple[bool, dict[str, Any]]]:
    digest = workspace.ledger.assets.find(reference).digest
    found = [each for each in workspace.ledger.receipts.list(digest) if each.kind == "contamination"]
    return [(receipt.passed, receipt.evidence) for receipt in found]


def digest_of(workspace: Workspace, reference: str) -> str:
    return workspace.ledger.assets.find(reference).digest


def test_whichever_is_registered_later_is_held_against_the_other(workspace: Workspace) -> None:
    corpus = recipe(workspace, "corpus", CURATED)
    workspace.run(corpus)
    suite = recipe(workspace, "suite", "cases: {step: ingest-suite, path: cases.jsonl, name: manuals}")
    workspace.run(suite)
    ((passed, evidence),) = receipts(workspace, "suite/cases")
    assert not passed
    assert evidence["cases"] == ["leaked"]
    numbers = evidence["corpora"][digest_of(workspace, "corpus/curate")]
    assert {name: numbers[name] for name in ("cases", "judged", "exact", "near")} == {
        "cases": 3,
        "judged": 2,
        "exact": 1,
        "near": 0,
    }
    assert numbers["documents"] >= 1
    assert receipts(workspace, "corpus/curate")[0][0] is False
    report = workspace.ledger.assets.directory(digest_of(workspace, "suite/cases-contamination"))
    assert "leaked" in (report / "report.md").read_text()

    # The plan of the corpus now holds the same check, which is made already.
    assert states(workspace, corpus) == {"read": "cached", "curate": "cached", "curate-contamination": "cached"}

    clean = recipe(workspace, "clean", f"{CURATED.strip()}\nclean: {{step: decontaminate, corpus: curate, around: 20}}")
    workspace.run(clean)
    assert set(states(workspace, clean).values()) == {"cached"}
    asset = workspace.ledger.assets.get(digest_of(workspace, "clean/clean"))
    digest = digest_of(workspace, "suite/cases")
    assert asset.metadata["contamination"]["suites"][digest]["exact"] == 1
    assert digest in {node.id for node in workspace.ledger.lineage(asset.digest).nodes}
    folder = workspace.ledger.assets.directory(asset.digest)
    training = [
        row["text"] for row in pq.read_table(folder / "documents-00000.parquet").to_pylist() if row["split"] == "train"
    ]
    assert training
    assert not any(QUESTION in text or ANSWER in text for text in training)
    ((passed, evidence),) = [each for each in receipts(workspace, "clean/clean") if "suites" in each[1]]
    assert passed, "what is left holds no case"

    (workspace.place.folder / "other.jsonl").write_text(json.dumps({"id": 1, "prompt": prose(200, 20), "answer": "x"}))
    workspace.run(recipe(workspace, "more", "cases: {step: ingest-suite, path: other.jsonl}"))
    assert states(workspace, corpus) == {"read": "cached", "curate": "cached", "curate-contamination": "to do"}
    after = states(workspace, clean)
    assert after["curate"] == "cached"
    assert after["clean"] == "to do", "every registered suite is part of the plan"


@pytest.mark.slow
def test_readiness_knows_what_was_found_of_every_suite(workspace: Workspace) -> None:
    exams = {"a": {"prompt": QUESTION, "answer": ANSWER}, "b": {"prompt": prose(3, 30), "answer": prose(4, 5)}}
    for name, case in exams.items():
        (workspace.place.folder / f"{name}.jsonl").write_text(json.dumps({"id": 1, **case}))
    workspace.run(recipe(workspace, "a", "cases: {step: ingest-suite, path: a.jsonl, name: exam A}"))
    workspace.run(recipe(workspace, "corpus", CURATED))

    def known() -> tuple[int, dict[str, int]]:
        found = workspace.assets["corpus/curate"].readiness(pilot=False).content.contamination
        return found.cases, {overlap.suite: overlap.found for overlap in found.overlaps}

    assert known() == (1, {"exam A": 1})
    workspace.run(recipe(workspace, "b", "cases: {step: ingest-suite, path: b.jsonl, name: exam B}"))
    assert known() == (1, {"exam A": 1, "exam B": 0})
    # The newest check of a suite counts, whatever an earlier one found by another rule.
    corpus = digest_of(workspace, "corpus/curate")
    rule = "tokens: 60, shortest: 50, similarity: null"
    again = f"again: {{step: contamination, corpora: {corpus}, suites: a/cases, {rule}}}"
    workspace.run(recipe(workspace, "again", again))
    assert known() == (0, {"exam A": 0, "exam B": 0})


def test_what_is_added_by_hand_is_held_against_the_other_too(workspace: Workspace) -> None:
    folder = workspace.place.folder
    texts = (f"{prose(100, 80)} {QUESTION} {ANSWER}", prose(101, 80))
    leaked = workspace.assets.add("corpus", write_corpus(folder / "leaked", texts))
    assert leaked.receipts() == [], "there was no suite yet"
    (folder / "exam").mkdir()
    cases = [{"name": case["id"], "prompt": case["prompt"], "expected": case["answer"]} for case in CASES]
    (folder / "exam" / "suite.yaml").write_text(json.dumps({"name": "exam", "cases": cases}))
    suite = workspace.assets.add("suite", folder / "exam")
    ((passed, evidence),) = receipts(workspace, suite.digest)
    assert not passed
    assert evidence["cases"] == ["leaked"]
    assert [passed for passed, _ in receipts(workspace, leaked.digest)] == [False]

    clean = workspace.assets.add("corpus", write_corpus(folder / "clean", (prose(102, 80),)))
    ((passed, evidence),) = receipts(workspace, clean.digest)
    assert passed
    assert set(evidence["suites"]) == {suite.digest}


def test_a_suite_in_the_same_recipe_counts_and_flags_leave_the_text(workspace: Workspace) -> None:
    texts = [f"{prose(100 + number, 80)} {QUESTION} {ANSWER} {prose(200 + number, 80)}" for number in range(3)]
    corpus = workspace.assets.add("corpus", write_corpus(workspace.place.folder / "corpus", texts))
    steps = f"""
cases: {{step: ingest-suite, path: cases.jsonl, name: manuals}}
flagged: {{step: decontaminate, corpus: {corpus.digest}, overlap: flag}}
"""
    path = recipe(workspace, "both", steps)
    workspace.run(path)
    flagged = workspace.ledger.assets.get(digest_of(workspace, "both/flagged"))
    assert flagged.metadata["bytes"] == sum(map(len, texts))
    said = [evidence for _, evidence in receipts(workspace, "both/cases") if evidence.get("overlap") == "flag"]
    assert [evidence["cases"] for evidence in said] == [["leaked"]]
    assert set(states(workspace, path)) == {"cases", "cases-contamination", "flagged", "flagged-contamination"}
    assert set(states(workspace, path).values()) == {"cached"}
