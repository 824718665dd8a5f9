"""`data diff` says what came, went and changed, and in which lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from loresmith import Workspace
from tests.cli.conftest import CommandLine
from tests.data.conversations import asked, dataset_of
from tests.data.written_corpora import corpus_of, document


@pytest.fixture
def corpora(cli: CommandLine, tmp_path: Path) -> tuple[str, str]:
    same = document("same.txt", "the same")
    one = [same, document("faq.md", "Open the lid.\nClose it.\n"), document("old.txt", "old"), document("m", "m")]
    other = [
        same,
        document("faq.md", "Open the lid.\nLook inside.\nClose it.\n", labels=["restricted"]),
        document("de/neu.txt", "neu", language="de"),
        document("m", "m", split="test"),
    ]
    with Workspace.open(cli.folder) as workspace:
        folders = [
            corpus_of(one, tmp_path / "a", [{"scores": [("words", float(n))]} for n in range(4)]),
            corpus_of(other, tmp_path / "b", [{"scores": [("words", n + 1.0)], "flags": ["short"]} for n in range(4)]),
        ]
        first, second = (workspace.assets.add("corpus", folder).digest for folder in folders)
    return first, second


def test_a_person_sees_what_changed(cli: CommandLine, corpora: tuple[str, str]) -> None:
    out = cli("data", "diff", *corpora, "--texts").out
    assert "4 -> 4 documents" in out
    assert "1 the same; 1 added (3 B), 1 removed (3 B), 1 changed (37 B), 1 moved (1 B), 1 relabelled (37 B)" in out
    assert "+ de/neu.txt\n" in out
    assert "- old.txt\n" in out
    assert "~ faq.md  24 B -> 37 B; no labels -> restricted\n" in out
    assert "> m  train -> test\n" in out
    assert "    +Look inside.\n" in out
    lines = [line.split() for line in out.splitlines()]
    assert ["language", "de", "0", "1", "0", "B", "3", "B"] in lines
    assert ["words", "4", "4", "0,", "2,", "3", "1,", "3,", "4"] in lines
    assert ["flag", "short", "0", "4", "none", "1,", "1,", "1"] in lines
    assert "+Look" not in cli("data", "diff", *corpora).out


def test_a_program_gets_ids_and_numbers(cli: CommandLine, corpora: tuple[str, str]) -> None:
    answer = cli("data", "diff", *corpora, "--limit", "0", "--json").json
    assert answer["same"] == 1
    assert {group["change"]: group["documents"] for group in answer["changes"]} == dict.fromkeys(
        ("added", "removed", "changed", "moved", "relabelled"), 1
    )
    assert all(not group["first"] for group in answer["changes"])
    first = cli("data", "diff", *corpora, "--json").json["changes"][0]["first"][0]
    assert (first["path"], first["before"]) == ("de/neu.txt", None)


def test_nothing_differs_from_itself(cli: CommandLine, corpora: tuple[str, str]) -> None:
    answer = cli("data", "diff", corpora[0], corpora[0], "--json").json
    assert (answer["same"], answer["changes"], answer["counts"], answer["scores"]) == (4, [], [], [])
    assert "4 the same; nothing changed" in cli("data", "diff", corpora[0], corpora[0]).out


def test_only_like_is_compared_with_like(cli: CommandLine, corpora: tuple[str, str], tmp_path: Path) -> None:
    with Workspace.open(cli.folder) as workspace:
        dataset = workspace.assets.add(
            "dataset", dataset_of([asked("Who?", "Ada."), asked("Where?", "Here.")], tmp_path / "d")
        ).digest
    refused = cli("data", "diff", corpora[0], dataset)
    assert refused.status == 2
    assert "one of them holds conversations and the other documents" in refused.err
