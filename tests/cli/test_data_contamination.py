"""`loresmith data contamination`: what a person is told of overlap, and what of a request that makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from loresmith import Workspace
from tests.data.contamination.suite_texts import prose
from tests.data.written_corpora import write_corpus

from .conftest import CommandLine

RECIPE = "name: words\nsteps:\n  hello: {step: write-text, text: hello}\n"
QUESTIONS = [prose(number, 20) for number in range(30)]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """In a workspace of its own: one that has suites holds every corpus that is made later against them."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    with Workspace.init(tmp_path) as workspace:
        workspace.run(tmp_path / "recipe.yaml")
    monkeypatch.chdir(tmp_path)
    return CommandLine(tmp_path, capsys)


def registered(cli: CommandLine, name: str = "corpus", texts: tuple[str, ...] = ()) -> str:
    """A corpus of those texts, or a suite of all questions."""
    folder = cli.folder / name
    with Workspace.open(cli.folder) as workspace:
        if texts:
            return workspace.assets.add("corpus", write_corpus(folder, texts)).digest
        folder.mkdir()
        cases = "".join(f"- {{name: q{n}, prompt: {text}, expected: x}}\n" for n, text in enumerate(QUESTIONS))
        (folder / "suite.yaml").write_text(f"name: {name}\ncases:\n{cases}")
        return workspace.assets.add("suite", folder).digest


def test_a_corpus_is_held_against_suites_and_a_suite_against_corpora(cli: CommandLine) -> None:
    leaked = registered(cli, "leaked", (f"{prose(90, 50)} {QUESTIONS[4]}", prose(91, 50)))
    clean = registered(cli, "clean", (prose(92, 50),))
    suite = registered(cli, "exam")

    done = cli("data", "contamination", leaked)
    assert done.status == 0, done.err
    assert "q4: 95% of it word for word, in 1 document" in done.out
    assert "q5" not in done.out

    answer = cli("data", "contamination", suite[:12], "--corpus", clean, "--corpus", leaked[:10], "--json").json
    assert answer["kind"] == "suite"
    found = {corpus["corpus"]: corpus["suites"][0]["exact"] for corpus in answer["corpora"]}
    assert found == {leaked: 1, clean: 0}

    # One corpus of this workspace holds no documents; that is said, and is no reason to stop.
    every = cli("data", "contamination", suite)
    assert every.status == 0
    assert "was not looked at" in every.out

    shown = cli("assets", "show", suite, "--json").json
    assert {receipt["kind"] for receipt in shown["receipts"]} == {"contamination"}


def test_many_cases_are_named_in_part(cli: CommandLine) -> None:
    corpus = registered(cli, "corpus", tuple(f"{text} x" for text in QUESTIONS))
    registered(cli, "exam")
    out = cli("data", "contamination", corpus).out
    assert out.count("100% of it word for word") == 20
    assert "and 10 more" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("corpus", "--corpus", "corpus"), "held against suites"),
        (("suite", "--suite", "suite"), "held against corpora"),
        (("corpus", "--suite", "corpus"), "suite"),
        (("words/hello",), "no suite in this workspace"),
        (("nothing",), "nothing"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(cli: CommandLine, words: tuple[str, ...], said: str) -> None:
    named = {}
    if "words/hello" not in words:
        named = {"corpus": registered(cli, "corpus", (prose(1, 50),)), "suite": registered(cli, "suite")}
    done = cli("data", "contamination", *(named.get(word, word) for word in words))
    assert done.status == 2
    assert said in done.err
    assert "Traceback" not in done.err
