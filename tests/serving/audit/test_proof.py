"""What was exported is checked by somebody who has the file alone, and every change of it is found."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loresmith.errors import UserError
from loresmith.ledger import Ledger
from loresmith.ledger.signing import make_key, public_file
from loresmith.serving.audit.export import ExportCheck, export, verify_export
from loresmith.serving.audit.proof import prove
from tests.ledger.places import Place
from tests.serving.audit.places import record


@pytest.fixture
def written(ledger: Ledger) -> Ledger:
    """Among other leaves, records with long and short facts, with and without content."""
    for number in range(7):
        ledger.audit_records.note("something", "else")
        rows = [record(f"r-{number}-{each}", error="x" * 300 * each) for each in range(3)]
        ledger.audit_records.append([each.row(b"sealed" if number % 2 else None) for each in rows])
    return ledger


@pytest.fixture
def exported(written: Ledger, tmp_path: Path) -> Path:
    file = tmp_path / "audit.jsonl"
    header = export(written, written.audit_records.search(content=True), file)
    assert header.records == 21
    return file


def changed(file: Path, line: int, change: Callable[[dict[str, Any]], None]) -> ExportCheck:
    """The check of a copy in which a line was changed."""
    lines = file.read_text().splitlines(keepends=True)
    said = json.loads(lines[line])
    change(said)
    copy = file.with_name("changed.jsonl")
    copy.write_text("".join([*lines[:line], json.dumps(said) + "\n", *lines[line + 1 :]]))
    return verify_export(copy)


def test_an_export_holds_and_says_whose_it_is(exported: Path, written: Ledger, place: Place, tmp_path: Path) -> None:
    assert verify_export(exported).problems == ()
    assert verify_export(exported).signed is None
    check = verify_export(exported, public_file(place.key_file))
    assert (check.signed, check.records, check.head) == (True, 21, written.log.head())
    make_key(tmp_path / "other.pem")
    stranger = verify_export(exported, public_file(tmp_path / "other.pem"))
    assert stranger.signed is False
    assert "not signed with the given key" in stranger.problems[0]


@pytest.mark.parametrize("line", [1, 2, 6, 21])
def test_every_change_of_a_record_is_found(exported: Path, line: int) -> None:
    other = json.loads(exported.read_text().splitlines()[9])
    for name, value in {
        "principal": "user:eve",
        "response": "r-x",
        "phase": "outcome",
        "at": "2020",
        "tenant": "x",
        "release": "x",
        "facts": {"allowed": False},
        "content": "AAAA",
        "payload": other["payload"],
        "path": other["path"],
        "leaf": 1000,
    }.items():
        check = changed(exported, line, lambda said, name=name, value=value: said.update({name: value}))  # type: ignore[misc]
        assert len(check.problems) == 1, name
        assert f"line {line + 1}" in check.problems[0]
    if json.loads(exported.read_text().splitlines()[line])["content"] is not None:
        flipped = changed(exported, line, lambda said: said.update(content=b64encode(b"leales").decode()))
        assert "it says something else than its leaf: content" in flipped.problems[0]
    dropped = changed(exported, line, lambda said: said["facts"].pop("action"))
    assert "it says something else than its leaf: facts" in dropped.problems[0]


def test_what_is_missing_twice_there_or_elsewhere_is_found(exported: Path) -> None:
    lines = exported.read_text().splitlines(keepends=True)
    copy = exported.with_name("copy.jsonl")
    for kept, said in (
        (lines[:-1], "there are 20 records, and should be 21"),
        ([*lines, lines[-1]], "there are 22 records, and should be 21"),
        ([lines[0], lines[2], lines[1], *lines[3:]], "not in the order of the log"),
        ([*lines[:-1], "{}\n"], "cannot be read"),
    ):
        copy.write_text("".join(kept))
        assert any(said in problem for problem in verify_export(copy).problems), said
    for text in ("", "{}\n", "".join(lines[1:])):
        copy.write_text(text)
        with pytest.raises(UserError, match="no export of an audit"):
            verify_export(copy)


def test_a_head_that_was_changed_fits_no_record(exported: Path, place: Place) -> None:
    check = changed(exported, 0, lambda said: said["head"].update(root="0" * 64))
    assert len(check.problems) == 21
    copy = exported.with_name("changed.jsonl")
    assert verify_export(copy, public_file(place.key_file)).signed is False


def test_an_export_is_checked_without_its_workspace(exported: Path, place: Place, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    exported.rename(away / "audit.jsonl")
    public_file(place.key_file).rename(away / "key.pub")
    words = ["audit", "verify", "--export", "audit.jsonl", "--public-key", "key.pub", "--json"]
    done = subprocess.run([sys.executable, "-m", "loresmith", *words], cwd=away, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["sound"], said["signed"], said["records"]) == (True, True, 21)


def test_records_that_came_later_are_left_out(written: Ledger) -> None:
    head = written.log.head()
    written.audit_records.append([record("later").row()])
    proved = list(prove(written.log, written.audit_records.search(content=True), head))
    assert len(proved) == 21
    assert all(each.problem(head) is None for each in proved)
    assert proved[0].problem(written.log.head()) == "its hashes do not lead to the root"


def test_nothing_is_overwritten_and_nothing_half_left(exported: Path, written: Ledger, tmp_path: Path) -> None:
    before = exported.read_bytes()
    with pytest.raises(UserError, match="something already"):
        export(written, [], exported)
    assert exported.read_bytes() == before
    assert not list(tmp_path.glob(".audit*"))
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600
