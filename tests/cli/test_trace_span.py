"""`trace document --span` says what `data show --span` says, of every asset that has the text."""

from __future__ import annotations

import pytest

from tests.cli.conftest import CommandLine
from tests.data.conversations import asked, jsonl
from tests.data.pdf_files import Page, pdf

RECIPE = """\
name: notes
steps:
  files: {step: ingest, path: notes}
  corpus: {step: curate, documents: files, profile: manuals, minimum_bytes: 1, validation_share: 0, test_share: 0}
  talks: {step: ingest-messages, path: talks.jsonl}
"""
BEFORE = "The cafÃ© has a pump. "
AFTER = "Close the inlet valve before you open the housing of the pump, and wait until it is cold."


@pytest.fixture
def notes(fresh: CommandLine) -> CommandLine:
    folder = fresh.folder / "notes"
    folder.mkdir()
    (folder / "pump.txt").write_text(BEFORE + AFTER, encoding="utf-8")
    pages = [
        Page(["The pump stands in the cellar behind the door."]),
        Page(["The valve hangs on the wall of the shed."]),
    ]
    (folder / "plan.pdf").write_bytes(pdf(pages))
    (fresh.folder / "talks.jsonl").write_text(jsonl([asked(f"Where is pump {n}?", "In the cellar.") for n in range(3)]))
    fresh.write("notes.yaml", RECIPE)
    assert fresh("run", "notes.yaml").status == 0
    return fresh


def test_characters_lead_to_the_bytes_that_say_the_same_in_each_asset_that_has_the_text(notes: CommandLine) -> None:
    file = (notes.folder / "notes" / "pump.txt").read_bytes()
    start = len("The café has a pump. ")
    spans = notes("trace", "document", "pump.txt", "--span", f"{start}-{start + 20}", "--json").json["spans"]
    assert [span["kind"] for span in spans] == ["documents", "corpus"]
    as_read, repaired = spans
    assert repaired["text"] == AFTER[:20] != as_read["text"]
    for span in spans:
        place = span["place"]
        assert file[place["start"] : place["end"]].decode() == span["text"]
        assert place["exact"]
    out = notes("trace", "document", "pump.txt", "--span", f"{start}-{start + 20}").out
    place = repaired["place"]
    assert f"in corpus {repaired['asset'][:12]} it comes from pump.txt, bytes {place['start']} to {place['end']}" in out
    assert f"  | {AFTER[:20]}\n" in out


@pytest.mark.parametrize(("path", "word"), [("pump.txt", "inlet"), ("plan.pdf", "shed")])
def test_it_is_the_place_that_data_show_has(notes: CommandLine, path: str, word: str) -> None:
    where = f"path = '{path}'"
    (row,) = notes("data", "show", "notes/corpus", "--where", where, "--full", "--json").json["rows"]
    start = row["values"]["text"].index(word)
    span = f"{start}-{start + len(word)}"
    (shown,) = notes("data", "show", "notes/corpus", "--where", where, "--span", span, "--json").json["rows"]
    traced = notes("trace", "document", row["id"], "--span", span, "--json").json["spans"][-1]
    assert traced["text"] == shown["values"]["text"] == word
    assert traced["place"] == shown["place"]
    assert shown["place"]["pages"] == ([2] if path == "plan.pdf" else [])


def test_a_span_that_no_text_has_is_refused(notes: CommandLine) -> None:
    for document, span, said in (
        ("pump.txt", "0-5000", "characters 0 to 5000 of a text that has"),
        ("pump.txt", "5", "--span: should be two numbers with a hyphen, such as 120-180, got '5'"),
        ("talks.jsonl#L1", "0-3", "no asset has the text of"),
    ):
        refused = notes("trace", "document", document, "--span", span)
        assert (refused.status, refused.out) == (2, "")
        assert said in refused.err
    assert notes("trace", "document", "pump.txt", "--json").json["spans"] == []
