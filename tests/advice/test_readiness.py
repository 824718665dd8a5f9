"""The report says what is in a corpus: of one that is known to the byte, of hardly any text, and of none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from loresmith.advice.readiness import Readiness
from loresmith.advice.steps import READINESS
from loresmith.data.documents import DOCUMENT_COLUMNS, DocumentWriter
from loresmith.data.encoding import Encoder
from loresmith.data.tokenizer_training import save_tokenizer, train_byte_pairs
from loresmith.errors import UserError
from loresmith.factory.step import InputAsset, Result
from tests.advice.corpora import document, know_machine, prose, write_corpus
from tests.step_context import RecordingContext, run_step

SECRET = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dcQb"


def report(
    folder: Path, corpus: InputAsset, inputs: Mapping[str, InputAsset] | None = None, **config: Any
) -> Readiness:
    return read(run(folder, corpus, inputs, **config))


def run(folder: Path, corpus: InputAsset, inputs: Mapping[str, InputAsset] | None = None, **config: Any) -> Result:
    context = RecordingContext(folder, seed=1)
    know_machine(context.work)
    return run_step(READINESS, folder, {"pilot": False, **config}, {"corpus": corpus, **(inputs or {})}, context)


def read(result: Result) -> Readiness:
    directory = result.outputs["report"].directory
    assert {file.name for file in directory.iterdir()} == {"readiness.html", "readiness.json"}
    return Readiness.model_validate_json((directory / "readiness.json").read_text(encoding="utf-8"))


def test_volume_splits_rights_and_formats_are_those_of_the_columns(tmp_path: Path) -> None:
    rows = [document(f"{n}.txt", prose(n, 200)) for n in range(8)]
    rows += [
        document("v.md", prose(20, 100), "validation", media_type="text/markdown"),
        document("closed.txt", prose(21, 300), uses=["retrieve"], licence="", owner="", labels=["restricted"]),
        document("going.txt", prose(22, 100), retain_until="2031-05-01"),
    ]
    found = report(tmp_path / "run", write_corpus(tmp_path / "corpus", rows))
    contents = found.contents
    assert contents.documents == 11
    assert contents.bytes == sum(row["bytes"] for row in rows)
    assert [(split.name, split.documents) for split in contents.splits] == [
        ("train", 10),
        ("validation", 1),
        ("test", 0),
    ]
    assert {share.name: share.documents for share in contents.formats} == {"text/plain": 10, "text/markdown": 1}
    closed = next(row["bytes"] for row in rows if row["path"] == "closed.txt") / contents.bytes
    assert contents.rights.with_licence == pytest.approx(1 - closed)
    assert contents.rights.with_owner == pytest.approx(1 - closed)
    assert [share.share for share in contents.rights.uses] == pytest.approx([1 - closed, 1 - closed, 1])
    assert [(share.name, share.documents) for share in contents.rights.labels] == [("restricted", 1)]
    assert contents.rights.first_to_go == "2031-05-01"
    assert contents.longest[0].path == "closed.txt"
    assert found.duplication.bytes == sum(r["bytes"] for r in rows if "train" in r["uses"] and r["split"] == "train")
    assert not found.contamination.checked
    assert found.pilot.ran is False


def test_copies_are_taken_away_from_what_is_different(tmp_path: Path) -> None:
    once = [document(f"{n}.txt", f"{prose(n, 200)}\n\n{prose(40 + n, 200)}") for n in range(6)]
    shared = prose(50, 60)
    copies = [document("z-copy.txt", once[0]["text"] + " One more.")]
    quoting = [document(f"q{n}.txt", f"{prose(70 + n, 200)}\n\n{shared}\n\n{prose(80 + n, 200)}") for n in range(3)]
    found = report(tmp_path / "run", write_corpus(tmp_path / "corpus", [*once, *copies, *quoting])).duplication
    assert found.near_documents == 1
    assert found.near_bytes == once[0]["bytes"]  # the shorter of the two goes
    assert found.paragraph_bytes == 2 * len(shared.encode())
    assert found.different_bytes == found.bytes - found.near_bytes - found.paragraph_bytes
    assert found.repeated == pytest.approx(1 - found.different_bytes / found.bytes)


def test_tokens_are_those_of_the_tokenizer_that_is_given(tmp_path: Path) -> None:
    rows = [document(f"{n}.txt", prose(n, 200)) for n in range(12)]
    save_tokenizer(train_byte_pairs((row["text"] for row in rows), 400, 16), tmp_path / "tokenizer")
    encoder = Encoder.load(tmp_path / "tokenizer")
    given = InputAsset("1" * 64, "tokenizer", tmp_path / "tokenizer", {}, ())
    corpus = write_corpus(tmp_path / "corpus", rows)
    counted = report(tmp_path / "given", corpus, {"tokenizer": given}).tokens
    assert counted.all == sum(len(encoder.document(row["text"])) for row in rows)
    assert not counted.own_vocabulary
    assert counted.vocabulary_size == encoder.vocabulary_size
    assert report(tmp_path / "own", corpus).tokens.own_vocabulary


def test_the_report_counts_secrets_and_never_shows_one(tmp_path: Path) -> None:
    rows = [document(f"{n}.txt", prose(n, 200)) for n in range(8)]
    rows.append(document("leak.txt", f"{prose(9, 50)} token = {SECRET} and mail to maria.keller@kontor-nord.de"))
    result = run(tmp_path / "run", write_corpus(tmp_path / "corpus", rows, {"privacy_findings": {"iban": 3}}))
    found = read(result)
    kinds = {each.kind: each.findings for each in found.personal_data.kinds}
    assert kinds["secret"] == 1
    assert kinds["email"] == 1
    assert found.personal_data.treated == {"iban": 3}
    assert any(condition.weight == "must" and "keys" in condition.sentence for condition in found.verdict.conditions)
    for file in result.outputs["report"].directory.iterdir():
        text = file.read_text(encoding="utf-8")
        assert SECRET not in text
        assert "maria.keller" not in text


@pytest.mark.parametrize("texts", [[], [""], ["x"], ["A short note."], [prose(1, 3000)]], ids=range(5))
def test_hardly_any_text_gets_a_report_and_a_low_verdict(tmp_path: Path, texts: list[str]) -> None:
    rows = [document(f"{n}.txt", text) for n, text in enumerate(texts)]
    found = report(tmp_path / "run", write_corpus(tmp_path / "corpus", rows), pilot=True)
    assert found.verdict.level in ("nothing", "retrieval only")
    assert found.pilot.ran is False
    assert found.pilot.curve.outcome == "INCONCLUSIVE"
    assert found.contents.documents == len(texts)


def test_quality_is_that_of_the_rules_where_curation_left_no_scores(tmp_path: Path) -> None:
    rows = [document(f"{n}.txt", prose(n, 200)) for n in range(8)]
    rows += [document(f"t{n}.txt", " ".join(str(n * k) for k in range(1, 400))) for n in range(1, 4)]
    rows += [document(f"{n}.py", f"def f_{n}(x):\n    return x + {n}\n", language="python") for n in range(6)]
    found = report(tmp_path / "run", write_corpus(tmp_path / "corpus", rows))
    assert not found.quality.from_curation
    assert {share.name: share.documents for share in found.quality.profiles} == {"manuals": 11, "code": 6}
    tables = [broken for broken in found.quality.broken if broken.name == "alphabetic_words"]
    assert [broken.documents for broken in tables] == [3]
    share = sum(row["bytes"] for row in rows if row["path"].startswith("t")) / found.contents.bytes
    assert found.quality.doubtful == pytest.approx(share)
    assert {share.name for share in found.languages.shares} >= {"python"}


def test_a_mixture_that_repeats_its_documents_has_each_of_them_once(tmp_path: Path) -> None:
    shared = prose(50, 60)
    rows = [document(f"{n}.txt", f"{prose(n, 200)}\n\n{shared}\n\n{prose(40 + n, 200)}") for n in range(4)]
    rows.append(document("z-copy.txt", rows[0]["text"] + " One more."))
    once = report(tmp_path / "run", write_corpus(tmp_path / "corpus", rows))
    drawn = [*rows, *rows, *rows[1:3]]
    found = report(tmp_path / "again", write_corpus(tmp_path / "mixture", drawn))
    again = sum(row["bytes"] for row in drawn) - sum(row["bytes"] for row in rows)
    assert found.duplication.different_bytes == once.duplication.different_bytes > 0
    assert found.duplication.paragraph_bytes == once.duplication.paragraph_bytes == 3 * len(shared.encode())
    assert found.duplication.near_bytes == once.duplication.near_bytes + again
    assert found.duplication.near_documents == once.duplication.near_documents + 7
    assert found.tokens.different > 0


def test_documents_that_are_no_corpus_are_refused(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    row = document("a.txt", "text")
    with DocumentWriter(tmp_path / "documents", DOCUMENT_COLUMNS) as writer:
        writer.add({name: row[name] for name in DOCUMENT_COLUMNS.names})
    with pytest.raises(UserError, match="split"):
        run(tmp_path / "run", InputAsset("0" * 64, "corpus", tmp_path / "documents", {}, ()))


def test_overlaps_with_suites_come_from_the_report_of_the_check(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [document(f"{n}.txt", prose(n, 200)) for n in range(4)])
    suite = {"suite": "5" * 64, "name": "exam", "cases": 40, "exact": 2, "near": 1}
    said = {"kind": "contamination", "corpora": [{"corpus": corpus.digest, "unread": None, "suites": [suite]}]}
    checked = tmp_path / "checked"
    checked.mkdir()
    (checked / "report.json").write_text(json.dumps(said), encoding="utf-8")
    asset = InputAsset("2" * 64, "report", checked, {}, ())
    found = report(tmp_path / "run", corpus, {"contamination": asset})
    assert found.contamination.checked
    assert found.contamination.cases == 3
    assert any("cases of evaluation suites: 3" in condition.sentence for condition in found.verdict.conditions)
    newer = tmp_path / "newer"
    newer.mkdir()
    silent = {"kind": "contamination", "corpora": [{"corpus": corpus.digest, "unread": "it is gone", "suites": []}]}
    (newer / "report.json").write_text(json.dumps(silent), encoding="utf-8")
    both = {"contamination.1": InputAsset("3" * 64, "report", newer, {}, ()), "contamination.2": asset}
    assert report(tmp_path / "both", corpus, both).contamination.cases == 3
    (checked / "report.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="no report of the step"):
        report(tmp_path / "again", corpus, {"contamination": asset})


def test_shares_that_do_not_rise_to_all_of_the_text_are_refused() -> None:
    for shares in ((0.1, 1.0), (0.3, 0.1, 1.0), (0.1, 0.3, 0.9), (0.0, 0.5, 1.0)):
        with pytest.raises(ValueError, match="rise to 1"):
            READINESS.config.model_validate({"pilot_shares": shares})


def test_a_pilot_does_not_learn_from_what_should_be_gone(tmp_path: Path) -> None:
    rows = [document(f"{n}.txt", prose(n, 200), retain_until="2020-01-31" if n == 3 else "") for n in range(8)]
    corpus = write_corpus(tmp_path / "corpus", rows)
    with pytest.raises(
        UserError, match=r"one document has been kept too long, its last day was 2020-01-31: 3\.txt"
    ) as told:
        run(tmp_path / "pilot", corpus, pilot=True)
    assert "--no-pilot" in str(told.value.hint)
    assert read(run(tmp_path / "none", corpus)).contents.documents == 8
