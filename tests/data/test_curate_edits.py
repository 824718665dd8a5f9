"""Curation masks, cuts and refuses, and accounts for every byte of it without telling what was there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from loresmith.data.steps import CURATE, INGEST, PACK, TRAIN_TOKENIZER, CurateConfig
from loresmith.errors import UserError
from loresmith.factory.step import Result
from tests.data.tables import rows, write_files
from tests.data.test_curate import prose
from tests.step_context import RecordingContext, as_input, run_step

ADA, BOB = "ada@example.com", "bob@example.com"
CARD = "4111 1111 1111 1111"
WHOLE = {"validation_share": 0, "test_share": 0, "minimum_bytes": 1}


def documents(folder: Path, files: dict[str, str], **config: Any) -> Any:
    write_files(folder / "in", files)
    made = run_step(INGEST, folder / "ingest", {"path": str(folder / "in"), **config}).outputs["documents"]
    return as_input("documents", made)


def curated(folder: Path, given: Any, context: RecordingContext | None = None, **config: Any) -> Result:
    return run_step(CURATE, folder / "curate", {**WHOLE, **config}, {"documents": given}, context)


def texts(result: Result) -> dict[str, str]:
    return {row["path"]: row["text"] for row in rows(result.outputs["corpus"].directory)}


def account(result: Result, unit: str) -> dict[tuple[str, str], int]:
    (found,) = (account for account in result.books.accounts if account.unit == unit)
    return {(entry.disposition, entry.reason): entry.count for entry in found.left}


def test_what_points_at_people_is_masked_dropped_or_counted_and_nowhere_told(tmp_path: Path) -> None:
    mail = f"Grüße von {ADA}, Karte {CARD}. {prose(1)}"
    files = {
        "a.txt": mail,
        "b.txt": f"key: {prose(2)}",
        "c.txt": f"Server 10.0.0.7 was down. {prose(3)}",
        "d.txt": f"{CARD}. {prose(4)}",
    }
    given = documents(tmp_path, files)
    context = RecordingContext(tmp_path / "curate")
    result = curated(tmp_path, given, context, privacy={"email": "mask", "card": "drop", "ip": "detect"})
    assert set(texts(result)) == {"b.txt", "c.txt"}
    assert account(result, "documents") == {("kept", ""): 2, ("dropped", "privacy: card"): 2}
    masked = curated(tmp_path / "m", given, privacy={"all": "mask", "name": "detect"})
    text = texts(masked)["a.txt"]
    assert text == mail.replace(ADA, "[EMAIL]").replace(CARD, "[CARD]")
    gone = account(masked, "bytes")
    assert gone["masked", "privacy: email"] == len(ADA)
    assert gone["masked", "privacy: card"] == 2 * len(CARD)
    facts = masked.outputs["corpus"].metadata["privacy_findings"]
    assert (facts["email"], facts["card"]) == (1, 2)
    assert any("findings of ip: detect" in line for line in context.logs)
    for path in (masked.outputs["corpus"].directory / "edits.parquet", *tmp_path.rglob("books.parquet")):
        assert not any(
            secret in json.dumps(row, default=str) for row in rows(path.parent, path.name) for secret in (ADA, CARD)
        )


def test_what_is_told_about_a_document_is_masked_too(tmp_path: Path) -> None:
    mail = f"From: Ada <{ADA}>\nTo: {BOB}\nSubject: the pump\nDate: Mon, 2 Mar 2026 10:00:00 +0000\n\n{prose(1)}\n"
    given = documents(tmp_path, {"a.eml": mail})
    (before,) = rows(given.directory)
    assert ADA in before["metadata"]
    result = curated(tmp_path, given, privacy={"email": "mask"}, profile="none")
    (row,) = rows(result.outputs["corpus"].directory)
    assert ADA not in json.dumps(row, default=str)
    assert BOB not in json.dumps(row, default=str)
    assert json.loads(row["metadata"]).keys() == json.loads(before["metadata"]).keys()
    (seen,) = rows(result.outputs["corpus"].directory, "scores.parquet")
    assert "metadata edited" in seen["flags"]
    plain = curated(tmp_path / "plain", given, privacy={"email": "detect"}, profile="none")
    assert rows(plain.outputs["corpus"].directory)[0]["metadata"] == before["metadata"]


def test_fields_of_records_are_judged_by_their_names_and_threads_stay_threads(tmp_path: Path) -> None:
    record = {
        "symptom": "the pump leaks at the flange and stops after a while",
        "card": 4111111111111111,
        "password": "Tr0ub4dor3xyz",
        "phone": "030 1234567",
        ADA: 1,
        "broken": "\ud800",
        "pieces": 3,
    }
    mails = {
        f"{number}.eml": f"From: {ADA}\nMessage-ID: <{number}@mail.example.com>\n"
        f"In-Reply-To: <{first}@mail.example.com>\nReferences: <{first}@mail.example.com>\n"
        f"Subject: pump\n\n{prose(number)}\n"
        for number, first in ((2, 1), (3, 1), (12, 11))
    }
    files = {"faults.jsonl": json.dumps(record) + "\n", **mails}
    given = documents(tmp_path, files, template="{{symptom}} - noted by the night shift of the pumping station")
    result = curated(tmp_path, given, privacy={"all": "mask", "name": "detect"}, profile="none")
    made = {row["path"]: json.loads(row["metadata"]) for row in rows(result.outputs["corpus"].directory)}
    fault = next(told for path, told in made.items() if path.startswith("faults"))
    said = json.dumps(fault)
    assert not any(secret in said for secret in (CARD.replace(" ", ""), "Tr0ub4dor3xyz", "030 1234567", ADA))
    assert '"pieces": 3' in said
    threads = [told["thread"] for path, told in sorted(made.items()) if path.endswith(".eml")]
    assert len(set(threads)) == 2
    assert "mail.example.com" not in json.dumps(made)
    assert result.outputs["corpus"].metadata["privacy_findings"] == {"email": 3}  # those in the texts


def test_each_part_of_an_edited_text_knows_where_it_stood(tmp_path: Path) -> None:
    again = f"Prüfung: {prose(2)}"
    files = {"a.txt": f"Ä {ADA} ö {BOB} ü\n\n{prose(1)}\n\n{again}\n", "b.txt": f"ß {BOB}\n\n{again}\n\n{prose(3)}\n"}
    result = curated(tmp_path, documents(tmp_path, files), privacy={"email": "mask"}, drop_repeated=["paragraph"])
    for row in rows(result.outputs["corpus"].directory):
        before = files[row["path"]]
        assert row["pieces"]
        for piece in row["pieces"]:
            now = row["text"][piece["at"] : piece["at"] + piece["length"]]
            assert now == before[piece["start"] : piece["start"] + piece["length"]]
    for edit in rows(result.outputs["corpus"].directory, "edits.parquet"):
        was = files[edit["path"]][edit["start"] : edit["end"]]
        assert was in (ADA, BOB) if edit["rule"] == "privacy: email" else was.strip() == again.strip()
        assert edit["before_bytes"] == len(was.encode())
        assert edit["rule"] in ("privacy: email", "repeated paragraph")


def test_of_repeated_passages_the_first_stays_and_copies_of_documents_are_still_merged(tmp_path: Path) -> None:
    files = {
        "a.txt": f"{prose(1)}\n\n{prose(2)}\n",
        "b.txt": f"{prose(3)}\n\n{prose(1)}\n\n{prose(4)}\n",
        "copy.txt": f"{prose(1)}\n\n{prose(2)}\n",
    }
    result = curated(tmp_path, documents(tmp_path, files), drop_repeated=["paragraph", "line"])
    assert texts(result) == {"a.txt": files["a.txt"], "b.txt": f"{prose(3)}\n\n{prose(4)}\n"}
    assert account(result, "documents") == {("kept", ""): 2, ("merged", "exact duplicate"): 1}
    assert account(result, "bytes")["merged", "repeated paragraph"] == len(f"{prose(1)}\n\n".encode())
    assert result.outputs["corpus"].metadata["repeated_passages"]["paragraph"] == 1
    plain = curated(tmp_path / "plain", documents(tmp_path / "plain", files))
    assert texts(plain)["b.txt"] == files["b.txt"]
    assert not (plain.outputs["corpus"].directory / "edits.parquet").exists()


def test_aliases_are_the_same_in_every_corpus_of_one_key_and_of_no_other(tmp_path: Path) -> None:
    files = {"a.txt": f"{ADA} and {BOB} and {ADA.upper()} {prose(1)}"}
    given = documents(tmp_path, files)
    for name in ("one", "other"):
        (tmp_path / name).write_text(f"{name} key that is long enough")
    (tmp_path / "short").write_text("short")
    found = {}
    for name, key in (("first", "one"), ("second", "one"), ("third", "other")):
        settings = {"privacy": {"email": "pseudonymise"}, "pseudonym_key": str(tmp_path / key)}
        found[name] = texts(curated(tmp_path / name, given, **settings))["a.txt"].split()[:5:2]
    ada, bob, again = found["first"]
    assert ada == again != bob
    assert found["first"] == found["second"]
    assert not set(found["first"]) & set(found["third"])
    assert CURATE.fingerprint is not None
    prints = {
        key: CURATE.fingerprint(CurateConfig(privacy={"name": "pseudonymise"}, pseudonym_key=str(tmp_path / key)))
        for key in ("one", "other")
    }
    assert prints["one"] != prints["other"]
    for key, said in (("short", "16 are the least"), ("nowhere", "cannot be read")):
        with pytest.raises(UserError, match=said):
            CURATE.fingerprint(CurateConfig(pseudonym_key=str(tmp_path / key)))


def test_documents_are_used_only_as_they_may_be_and_kept_only_so_long(tmp_path: Path) -> None:
    given = documents(tmp_path, {"a.txt": prose(1)}, uses=["retrieve"], retain_until="2026-06-30")
    with pytest.raises(UserError, match="1 not allowed: train"):
        curated(tmp_path, given, as_of="2026-06-30")
    assert (
        curated(tmp_path / "r", given, use="retrieve", as_of="2026-06-30").outputs["corpus"].metadata["documents"] == 1
    )
    with pytest.raises(UserError, match="1 kept too long"):
        curated(tmp_path / "late", given, use="retrieve", as_of="2026-07-01")


def test_nothing_is_learnt_from_documents_that_may_only_be_retrieved(tmp_path: Path) -> None:
    given = documents(tmp_path, {"a.txt": prose(1)}, uses=["retrieve"])
    made = curated(tmp_path, given, use="retrieve").outputs["corpus"]
    inputs = {"corpus": as_input("corpus", made)}
    with pytest.raises(UserError, match="1 of these documents may not be used to train"):
        run_step(TRAIN_TOKENIZER, tmp_path / "t", {"vocabulary_size": 300}, inputs)
    with pytest.raises(UserError, match="1 of these documents may not be used to train"):
        run_step(PACK, tmp_path / "p", {}, {**inputs, "tokenizer": as_input("tokenizer", made)})


def test_documents_of_an_earlier_version_are_named_as_such(tmp_path: Path) -> None:
    given = documents(tmp_path, {"a.txt": prose(1)})
    (file,) = given.directory.glob("documents-*.parquet")
    pq.write_table(pq.read_table(file).drop_columns(["uses", "owner"]), file)
    with pytest.raises(UserError, match="no column 'owner': an earlier version made them"):
        curated(tmp_path, given)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"privacy": {"emial": "mask"}}, "did you mean 'email'"),
        ({"privacy": {"email": "hide"}}, "'detect', 'mask'"),
        ({"privacy": {"email": "pseudonymise"}}, "name a file in pseudonym_key"),
        ({"privacy_countries": ["xx"]}, "country"),
        ({"drop_repeated": ["word"]}, "'paragraph' or 'line'"),
    ],
)
def test_settings_without_sense_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        CurateConfig.model_validate(settings)
