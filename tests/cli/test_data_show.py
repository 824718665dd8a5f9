"""`data show` finds the documents that a condition is true of, and says where each comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loresmith import Workspace
from tests.cli.conftest import CommandLine
from tests.data.conversations import asked, dataset_of
from tests.data.written_corpora import corpus_of, document

MANUAL = document(
    "manual.pdf",
    "Öl prüfen.\nDer Filter sitzt hinten.\n",
    media_type="application/pdf",
    language="de",
    labels=["restricted"],
    source_bytes=48_123,
    pages=[{"number": 1, "start": 0}, {"number": 2, "start": 13}],
)
DOCUMENTS = [
    document("bundle.min.js", "var a=1;" * 40, language="javascript", metadata='{"title": "bundle"}'),
    MANUAL,
    document("evil\x1b[31m.txt", "\x1b[2Jgone", source_start=100),
    document("empty.png", "", media_type="image/png", source_bytes=700),
]
SCORES: list[dict[str, Any]] = [
    {"scores": [("words", 2.0)], "flags": ["minified"], "profile": "code"},
    {"scores": [("words", 7.0)], "profile": "manuals"},
    {"scores": [("words", 1.0)]},
    {},
]


@pytest.fixture
def corpus(cli: CommandLine, tmp_path: Path) -> str:
    with Workspace.open(cli.folder) as workspace:
        folder = corpus_of(DOCUMENTS, tmp_path / "corpus", SCORES)
        return workspace.assets.add("corpus", folder, labels=("restricted",)).digest


def test_a_condition_on_columns_and_scores_finds_documents(cli: CommandLine, corpus: str) -> None:
    for condition, paths in {
        "language = 'de'": ["manual.pdf"],
        "scores.words > 1.5": ["bundle.min.js", "manual.pdf"],
        "'minified' IN flags AND bytes > 100": ["bundle.min.js"],
        "'restricted' IN labels OR metadata.title = 'bundle'": ["bundle.min.js", "manual.pdf"],
        "bytes < 0": [],
    }.items():
        answer = cli("data", "show", corpus[:8], "--where", condition, "--json").json
        assert [row["path"] for row in answer["rows"]] == paths
        assert (answer["matching"], answer["in_all"], answer["labels"]) == (len(paths), 4, ["restricted"])


def test_a_person_sees_place_language_split_and_the_beginning(cli: CommandLine, corpus: str) -> None:
    out = cli("data", "show", corpus, "--where", "language = 'de'").out
    assert f"{MANUAL['id'][:12]}  manual.pdf, pages 1-2, bytes 0 to 48,123" in out
    assert '  application/pdf  de  labels ["restricted"]  train' in out
    assert "profile manuals" in out
    assert "  | Öl prüfen. Der Filter sitzt hinten.\n" in out
    assert "1 shown; 1 of 4 are meant" in out
    assert "  | Öl prüfen.\n  | Der Filter sitzt hinten.\n" in cli("data", "show", corpus, "--full").out


def test_the_limit_bounds_what_is_shown_and_not_what_is_counted(cli: CommandLine, corpus: str) -> None:
    answer = cli("data", "show", corpus, "--where", "bytes > 0", "--limit", "1", "--json").json
    assert [row["number"] for row in answer["rows"]] == [1]
    assert answer["matching"] == 3
    assert len(answer["rows"][0]["values"]["text"]) == 200
    full = cli("data", "show", corpus, "--limit", "1", "--full", "--json").json["rows"][0]["values"]["text"]
    assert full == DOCUMENTS[0]["text"]


def test_columns_are_chosen(cli: CommandLine, corpus: str) -> None:
    answer = cli("data", "show", corpus, "--column", "scores", "--column", "licence", "--limit", "1", "--json").json
    assert answer["rows"][0]["values"] == {"scores": {"words": 2.0}, "licence": ""}
    refused = cli("data", "show", corpus, "--column", "licens")
    assert refused.status == 2
    assert "--column: unknown column 'licens'; did you mean 'licence'?" in refused.err


def test_a_span_is_traced_to_its_page(cli: CommandLine, corpus: str) -> None:
    where = ("--where", "path = 'manual.pdf'")
    answer = cli("data", "show", corpus, *where, "--span", "15-21", "--json").json
    assert answer["rows"][0]["values"]["text"] == "Filter"
    assert answer["rows"][0]["place"] == {"path": "manual.pdf", "pages": [2], "start": 0, "end": 48_123, "exact": False}
    assert (
        "page 2, bytes 0 to 48,123 (the whole document)" in cli("data", "show", corpus, *where, "--span", "15-21").out
    )
    beyond = cli("data", "show", corpus, *where, "--span", "15-99")
    assert (beyond.status, "characters 15 to 99 of a text that has 36" in beyond.err) == (2, True)


def test_a_document_cannot_steer_the_terminal(cli: CommandLine, corpus: str) -> None:
    for words in ((), ("--full",), ("--column", "path", "--column", "metadata")):
        out = cli("data", "show", corpus, *words).out
        assert "\\x1b[31m.txt" in out
        assert "\x1b" not in out


def test_conversations_are_shown_with_their_lines(cli: CommandLine, tmp_path: Path) -> None:
    with Workspace.open(cli.folder) as workspace:
        folder = dataset_of([asked("Who?", "Ada."), asked("Where?", "Here.")], tmp_path)
        dataset = workspace.assets.add("dataset", folder).digest
    answer = cli("data", "show", dataset, "--where", "line = 2", "--json").json
    assert [row["values"]["line"] for row in answer["rows"]] == [2]
    assert "Where?" in answer["rows"][0]["values"]["messages"]
    assert "line 2" in cli("data", "show", dataset, "--where", "line = 2").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--where", "langauge = 'de'"], "--where, character 1: unknown column 'langauge'; did you mean 'language'?"),
        (["--where", "scores.wrods > 1"], "unknown name 'scores.wrods'; did you mean 'scores.words'?"),
        (["--span", "9-"], "--span: should be two numbers with a hyphen, such as 120-180, got '9-'"),
        (["--limit", "-1"], "--limit"),
    ],
)
def test_a_mistake_is_named(cli: CommandLine, corpus: str, words: list[str], said: str) -> None:
    refused = cli("data", "show", corpus, *words)
    assert refused.status == 2
    assert said in refused.err


def test_what_holds_no_documents_is_refused(cli: CommandLine) -> None:
    refused = cli("data", "show", "writer")
    assert refused.status == 2
    assert "writer: there are neither documents nor conversations here" in refused.err
