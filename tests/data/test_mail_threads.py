"""A thread is learnt once: what mails quote of one another is cut out of them, as are signatures; nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.data.edited_text import EditedText
from loresmith.data.rules.mail_parts import MAIL_PARTS, mail_parts
from loresmith.data.steps import CURATE
from loresmith.factory.step import InputAsset, Result
from tests.data.mail_files import mail
from tests.data.tables import ingest, rows, write_files
from tests.step_context import as_input, run_step

WHOLE = {"validation_share": 0, "test_share": 0, "minimum_bytes": 1}
FIRST = "The seal of pump 17 leaks since Monday, and the floor is wet.\n"
SECOND = "Close the inlet first, then send me the number on its plate.\n"
THIRD = "It is closed now, and the plate says GX-200 from Bremen.\n"
SIGNATURE = "-- \nBob Grün\nWorkshop 3\n"


def _quoted(text: str) -> str:
    return "On Mon, 2 Nov 2026 at 10:00, Ada wrote:\n" + "".join(f"> {line}\n" for line in text.splitlines())


@pytest.fixture
def thread(tmp_path: Path) -> InputAsset:
    bodies = [FIRST, f"{SECOND}\n{_quoted(FIRST)}\n{SIGNATURE}", f"{_quoted(SECOND + _quoted(FIRST))}\n{THIRD}"]
    files: dict[str, str | bytes] = {f"{n}.eml": mail(text=body).as_bytes() for n, body in enumerate(bodies)}
    files["notes.txt"] = f"A page of a manual that shows a reply:\n\n{_quoted(FIRST)}\n{SIGNATURE}"
    files["rows.jsonl"] = json.dumps({"text": FIRST + SECOND, "quoted": [[0, 20]], "signature": [30, 40]}) + "\n"
    return as_input("documents", ingest(write_files(tmp_path / "in", files), tmp_path).outputs["documents"])


def _curated(folder: Path, documents: InputAsset, **config: Any) -> Result:
    return run_step(CURATE, folder, {**WHOLE, **config}, {"documents": documents})


def _texts(result: Result) -> dict[str, str]:
    return {row["path"]: row["text"] for row in rows(result.outputs["corpus"].directory)}


def _bytes_by_reason(result: Result) -> dict[str, int]:
    (account,) = (account for account in result.books.accounts if account.unit == "bytes")
    assert account.missing == 0
    return {entry.reason: entry.count for entry in account.left if entry.disposition == "dropped"}


def test_each_mail_of_a_thread_stands_once_and_every_byte_is_accounted_for(thread: InputAsset, tmp_path: Path) -> None:
    result = _curated(tmp_path / "c", thread, boilerplate_documents=None)
    texts = _texts(result)
    mails = [text for path, text in texts.items() if path.endswith(".eml")]
    assert [sum(said in text for text in mails) for said in (FIRST, SECOND, THIRD, "Bob Grün")] == [1, 1, 1, 0]
    assert not any(mark in text for text in mails for mark in ("wrote:", "> "))
    before = {row["path"]: row for row in rows(thread.directory)}
    edits = rows(result.outputs["corpus"].directory, "edits.parquet")
    assert {(edit["path"], edit["rule"]) for edit in edits} == {
        ("1.eml", "quoted"),
        ("1.eml", "signature"),
        ("2.eml", "quoted"),
    }
    for edit in edits:
        cut = before[edit["path"]]["text"][edit["start"] : edit["end"]]
        assert (edit["before_bytes"], edit["after_bytes"]) == (len(cut.encode()), 0)
        assert cut.startswith("On Mon" if edit["rule"] == "quoted" else "-- \n")
    by_rule = {
        rule: sum(edit["before_bytes"] for edit in edits if edit["rule"] == rule) for rule in ("quoted", "signature")
    }
    assert _bytes_by_reason(result) == by_rule
    for path in ("notes.txt", "rows.jsonl#L1"):
        assert texts[path] == before[path]["text"]


@pytest.mark.parametrize(
    ("config", "gone"),
    [
        ({"mail_quotes": "keep"}, {"signature"}),
        ({"mail_signatures": "keep"}, {"quoted"}),
        ({"mail_quotes": "keep", "mail_signatures": "keep"}, set()),
        ({"profile": "manuals"}, set()),
        ({"profile": "none"}, set()),
        ({"profile": "mail"}, {"quoted", "signature"}),
    ],
)
def test_each_can_be_kept_and_other_profiles_cut_neither(
    thread: InputAsset, tmp_path: Path, config: dict[str, str], gone: set[str]
) -> None:
    result = _curated(tmp_path / "c", thread, boilerplate_documents=None, **config)
    assert set(_bytes_by_reason(result)) == gone
    before = {row["path"]: row["text"] for row in rows(thread.directory)}
    changed = {path for path, text in _texts(result).items() if text != before[path]}
    assert all(path.endswith(".eml") for path in changed)


PLACES = st.one_of(st.integers(-3, 40), st.booleans(), st.none(), st.text(max_size=2))
SPANS = st.lists(st.lists(st.integers(-3, 14), min_size=2, max_size=2), min_size=1, max_size=3)
TOLD = st.one_of(SPANS, SPANS.map(lambda spans: spans[0]), st.recursive(PLACES, st.lists, max_leaves=8))


@given(st.text(max_size=10), st.dictionaries(st.sampled_from([*MAIL_PARTS, "other"]), TOLD))
def test_only_spans_of_the_text_are_cut_whatever_the_metadata_says(text: str, told: dict[str, Any]) -> None:
    edits = mail_parts(text, json.dumps(told), "message/rfc822", MAIL_PARTS)
    EditedText.of(text).apply(edits)  # raises for spans that overlap, or lie outside
    for edit in edits:
        assert [edit.start, edit.end] == told[edit.rule] or [edit.start, edit.end] in told[edit.rule]
    assert mail_parts(text, json.dumps(told), "application/jsonl", MAIL_PARTS) == []
    assert mail_parts(text, json.dumps(told), "message/rfc822", ()) == []
