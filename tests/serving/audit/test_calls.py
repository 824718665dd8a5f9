"""What an auditor, an officer and an operator do with the record, through the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from loresmith import Workspace
from tests.cli.conftest import CommandLine
from tests.serving.audit.places import auditing, record, write_audit


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    write_audit(tmp_path / "workspace")
    monkeypatch.chdir(tmp_path / "workspace")
    monkeypatch.delenv("LORESMITH_WORKSPACE", raising=False)
    return CommandLine(tmp_path / "workspace", capsys)


def test_a_search_shows_who_asked_what_was_decided_and_what_came_of_it(cli: CommandLine) -> None:
    out = cli("audit", "search").out
    assert "user:ada" in out
    assert "complete allowed by default" in out
    assert "status 200  12 + 4 tokens  80 ms  privacy redact email x 2 in output" in out
    assert "complete DENIED" in out
    assert "4 shown" in out
    assert "bed 7" not in out
    answer = cli("audit", "search", "--limit", "1", "--principal", "user:eve", "--json").json
    assert [found["record"]["phase"] for found in answer["records"]] == ["outcome"]
    assert answer["more"]
    narrow = cli("audit", "search", "--release", "acme@production", "--where", "allowed = false", "--phase", "intent")
    assert "1 shown" in narrow.out
    assert cli("audit", "search", "--release", "acme@candidate", "--json").json["records"] == []
    assert "yesterday" in cli("audit", "search", "--since", "yesterday").err


def test_who_reads_what_was_said_says_why_and_is_on_the_record(cli: CommandLine) -> None:
    refused = cli("audit", "search", "--content")
    assert refused.status == 2
    assert "--because" in refused.err
    out = cli("audit", "search", "--content", "--because", "a complaint", "--response", "r-1").out
    assert "user: What ails the patient in bed 7?" in out
    assert "assistant: A broken leg." in out
    with Workspace.open(cli.folder) as workspace:
        log = workspace.ledger.log
        payload = log.payloads([log.head().size - 1])[log.head().size - 1]
    assert json.loads(payload)["kind"] == "audit-read"
    assert json.loads(payload)["key"] == 'content of {"response": "r-1"}, because a complaint'


def test_after_an_erasure_the_record_stands_and_nobody_reads_what_was_said(cli: CommandLine) -> None:
    before = cli("audit", "verify", "--json").json
    assert (before["sound"], before["records"], before["sealed"], before["erased"]) == (True, 4, 2, 0)
    erased = cli("audit", "erase", "--tenant", "ward", "--because", "the contract has ended", "--json").json
    assert (erased["records"], erased["feedback"]) == (2, 0)
    after = cli("audit", "verify", "--json").json
    assert (after["sound"], after["records"], after["sealed"], after["erased"]) == (True, 4, 0, 2)
    out = cli("audit", "search", "--content", "--because", "a complaint").out
    assert "bed 7" not in out
    assert "destroyed on 2" in out
    assert "because the contract has ended" in out
    kept = [file for file in cli.folder.rglob("*") if file.is_file() and b"bed 7" in file.read_bytes()]
    assert kept == []
    assert list((cli.folder / ".loresmith" / "tenant-keys").iterdir()) == []
    assert cli("audit", "erase", "--tenant", "ward", "--because", "again").status == 2
    assert cli("ledger", "verify").status == 0


def test_a_response_is_proved(cli: CommandLine) -> None:
    answer = cli("audit", "proof", "r-1", "--json").json
    assert answer["holds"]
    assert [each["phase"] for each in answer["records"]] == ["intent", "outcome"]
    assert "holds" in cli("audit", "proof", "r-1").out
    absent = cli("audit", "proof", "r-9")
    assert absent.status == 2
    assert "nothing on the record of a response r-9" in absent.err


def test_an_export_carries_what_was_said_only_when_asked(cli: CommandLine, tmp_path: Path) -> None:
    plain, clear = tmp_path / "plain.jsonl", tmp_path / "clear.jsonl"
    assert cli("audit", "export", "--to", plain).status == 0
    assert cli("audit", "export", "--to", clear, "--content", "--because", "a court's order").status == 0
    assert "bed 7" not in plain.read_text()
    assert "bed 7" in clear.read_text()
    for file in (plain, clear):
        key = cli.folder / ".loresmith" / "key.pem.pub"
        done = cli("audit", "verify", "--export", file, "--public-key", key)
        assert done.status == 0
        assert "4 records: sound" in done.out
    clear.write_text(clear.read_text().replace("user:ada", "user:bob"))
    bad = cli("audit", "verify", "--export", clear)
    assert bad.status == 1
    assert "do not lead to the root" in bad.out
    assert cli("audit", "verify", "--public-key", key).status == 2


def test_what_does_not_fit_together_is_found(cli: CommandLine) -> None:
    with Workspace.open(cli.folder) as workspace:
        wrong = [
            record("r-1", status=1),
            record("r-1", "outcome"),
            record("r-3", "outcome", completion_tokens=1),
            record("refused", "outcome", status=403),
            record("r-4"),
            record("r-4", "outcome", bytes_scanned=5, bytes_emitted=6),
            record("r-5"),
        ]
        rows = [each.row() for each in wrong]
        workspace.ledger.audit_records.append([*rows, record("r-6").row(b"\x01 not what anybody sealed at all")])
    answer = cli("audit", "verify", "--json")
    assert answer.status == 1
    said = "\n".join(answer.json["problems"])
    for problem in (
        "intent of r-1): there was an intent already",
        "outcome of r-1): there was an outcome already",
        "outcome of r-3): something was answered, and there is no intent before it",
        "outcome of r-4): 6 bytes went out, and guards saw 5",
    ):
        assert problem in said
    assert "refused" not in said
    assert answer.json["unfinished"] == 3


def test_verification_finds_content_that_was_moved_to_another_record(cli: CommandLine) -> None:
    with Workspace.open(cli.folder) as workspace:
        sealed = workspace.ledger.audit_records.of("r-1")[0].content
        workspace.ledger.audit_records.append([record("r-7").row(sealed)])
    assert "belongs to another record" in cli("audit", "verify").out


def test_gaps_are_found_in_the_log(cli: CommandLine) -> None:
    async def run() -> None:
        with Workspace.open(cli.folder) as workspace:
            async with auditing(workspace.ledger, workspace.place.state) as audit:
                await audit.intent(record("r-8"))

    asyncio.run(run())
    assert cli("audit", "verify", "--json").json["unfinished"] == 1
