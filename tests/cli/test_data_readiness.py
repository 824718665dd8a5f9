"""`data readiness` says the verdict first, why, what to do and where the page is; and refuses before it works."""

from __future__ import annotations

from pathlib import Path

import pytest

from loresmith import Workspace
from loresmith.sdk.calls.data_readiness import ReadinessAnswer
from tests.advice.corpora import document, prose, write_corpus
from tests.cli.conftest import CommandLine


@pytest.fixture
def corpus(cli: CommandLine, tmp_path: Path) -> str:
    rows = [document("[red]note[/red].txt", prose(1, 60), licence=""), document("held.txt", prose(2, 60), "validation")]
    with Workspace.open(cli.folder) as workspace:
        return workspace.assets.add("corpus", write_corpus(tmp_path / "corpus", rows).directory).digest


def test_the_page_has_verdict_reasons_numbers_and_where_the_report_is(
    cli: CommandLine, corpus: str, tmp_path: Path
) -> None:
    done = cli("data", "readiness", corpus, "--no-pilot", "--to", tmp_path / "out")
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0] == f"corpus {corpus[:12]}: nothing"
    assert "no licence on record" in done.out
    assert "pre-training from scratch  no" in done.out
    assert "no pilot was run: " in done.out
    assert lines[-1] == f"the page for people: {tmp_path / 'out' / 'readiness.html'}"
    assert (tmp_path / "out" / "readiness.json").is_file()


def test_the_sdk_gives_the_same_and_the_run_is_cached(cli: CommandLine, corpus: str) -> None:
    answer = ReadinessAnswer.model_validate_json(cli("data", "readiness", corpus, "--no-pilot", "--json").out)
    with Workspace.open(cli.folder) as workspace:
        found = workspace.assets[corpus].readiness(pilot=False)
        assert found.asset.digest == answer.report
        assert found.content.model_dump() == {
            key: value for key, value in answer.model_dump().items() if key not in ("run", "report", "html", "overdue")
        }
        assert workspace.runs[found.run].steps()[0].state == "cached"
        assert answer.html.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_documents_that_may_not_be_kept_any_more_are_named_first(cli: CommandLine, tmp_path: Path) -> None:
    rows = [document("old.txt", prose(1, 60), retain_until="2020-01-31"), document("held.txt", prose(2, 60), "test")]
    with Workspace.open(cli.folder) as workspace:
        digest = workspace.assets.add("corpus", write_corpus(tmp_path / "late", rows).directory).digest
    said = "one document has been kept too long, its last day was 2020-01-31: old.txt; curate with `as_of: "
    lines = cli("data", "readiness", digest, "--no-pilot").out.splitlines()
    assert lines[2].startswith(f"no step trains on it today: {said}")
    assert cli("data", "readiness", digest, "--no-pilot", "--json").json["overdue"].startswith(said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere"),
        (["CORPUS", "--set", "pilot_tokns=5M"], "pilot_tokens"),
        (["CORPUS", "--set", "pilot_shares=[0.5, 1]"], "rise to 1"),
        (["CORPUS", "--tokenizer", "CORPUS"], "tokenizer"),
        (["CORPUS", "--to", "FOLDER"], "not empty"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(
    cli: CommandLine, corpus: str, tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    known = {"CORPUS": corpus, "FOLDER": str(tmp_path / "full")}
    done = cli("data", "readiness", *(known.get(word, word) for word in words))
    assert done.status == 2
    assert said in done.err
    assert "Traceback" not in done.err
