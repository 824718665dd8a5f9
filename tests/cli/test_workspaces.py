"""Making a workspace, and a doctor who finds what is wrong with one."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from loresmith import Workspace
from tests.cli.conftest import CommandLine


def findings(cli: CommandLine) -> dict[str, dict[str, Any]]:
    done = cli("doctor", "--json")
    found = {finding["name"]: finding for finding in done.json["findings"]}
    assert done.json["healthy"] == (done.status == 0)
    assert done.json["healthy"] == all(finding["status"] != "failed" for finding in found.values())
    return found


def test_a_healthy_workspace(cli: CommandLine) -> None:
    found = findings(cli)
    for name in ("python", "libraries", "workspace", "database", "blobs", "links", "log"):
        assert found[name]["status"] == "ok", found[name]
    assert "telemetry and hub access are off" in found["libraries"]["found"]


def test_the_doctor_changes_nothing_in_the_ledger(cli: CommandLine) -> None:
    before = cli("ledger", "verify", "--json").json
    findings(cli)
    assert cli("ledger", "verify", "--json").json == before


def test_outside_a_workspace_the_machine_is_examined(cli: CommandLine, tmp_path: Path) -> None:
    done = cli("doctor", "-w", tmp_path, "--json")
    assert done.status == 0
    last = done.json["findings"][-1]
    assert (last["name"], last["status"]) == ("workspace", "warning")


def test_a_wrong_workspace_file_is_found(fresh: CommandLine) -> None:
    fresh.write("loresmith.yaml", "format: 1\nblob: here\n")
    found = findings(fresh)["workspace"]
    assert found["status"] == "failed"
    assert "loresmith.yaml:2" in found["found"]
    assert "blobs" in found["found"]


def test_a_database_that_is_none_is_found(fresh: CommandLine) -> None:
    (fresh.folder / ".loresmith" / "ledger.db").write_bytes(b"no database " * 1000)
    assert findings(fresh)["database"]["status"] == "failed"


def test_a_changed_row_is_found(fresh: CommandLine) -> None:
    with Workspace.open(fresh.folder) as workspace:
        (fresh.folder / "asset").mkdir()
        (fresh.folder / "asset" / "text").write_text("true")
        workspace.assets.add("dataset", fresh.folder / "asset")
    with sqlite3.connect(fresh.folder / ".loresmith" / "ledger.db") as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute("UPDATE asset SET size = size + 1")
    found = findings(fresh)["log"]
    assert found["status"] == "failed"
    assert "asset" in found["found"]


def test_init_leaves_what_is_there_alone(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("mine", encoding="utf-8")
    assert cli("init", tmp_path).status == 0
    assert (tmp_path / "recipe.yaml").read_text(encoding="utf-8") == "mine"
    texts = {path: path.stat().st_mtime_ns for path in (tmp_path / "documents").iterdir()}
    assert len(texts) > 50
    again = cli("init", tmp_path, "--json")
    assert again.status == 0
    assert again.json["written"] == []
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "documents").iterdir()} == texts


def test_a_bare_workspace_has_no_recipe(cli: CommandLine, tmp_path: Path) -> None:
    done = cli("init", tmp_path / "bare", "--bare", "--json")
    assert done.status == 0
    assert done.json["recipe"] is None
    assert sorted(path.name for path in (tmp_path / "bare").iterdir()) == [".loresmith", "loresmith.yaml"]
    assert cli("runs", "-w", tmp_path / "bare").status == 0


def test_a_file_where_the_folder_should_be(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = cli("init", tmp_path / "file")
    assert done.status == 2
    assert str(tmp_path / "file") in done.err


@pytest.mark.parametrize("documents", [None, "my texts: all"])
def test_the_starter_recipe_makes_a_plan(documents: str | None, cli: CommandLine, tmp_path: Path) -> None:
    words: list[str | Path] = []
    if documents is not None:
        (tmp_path / documents).mkdir()
        (tmp_path / documents / "a.md").write_text("# A text\n", encoding="utf-8")
        words = ["--documents", tmp_path / documents]
    assert cli("init", tmp_path / "new", *words).status == 0
    done = cli("plan", tmp_path / "new" / "recipe.yaml", "-w", tmp_path / "new", "--json")
    assert done.status == 0, done.err
    assert done.json["to_do"] == len(done.json["plan"]["steps"])
    (ingest,) = (step for step in done.json["plan"]["steps"] if step["step"] == "ingest")
    read = str(tmp_path / documents) if documents is not None else str(tmp_path / "new" / "documents")
    assert read in str(ingest["locations"])


@pytest.mark.parametrize("name", ["what?", "100%", "a#b%20c", "ünï cödé"])
def test_a_workspace_stays_in_its_folder_whatever_that_is_called(name: str, tmp_path: Path) -> None:
    Workspace.init(tmp_path / name).close()
    assert (tmp_path / name / ".loresmith" / "ledger.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_relative_addresses_start_from_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "loresmith.yaml").write_text("database: sqlite:///books/all.db\nblobs: bytes\n")
    (tmp_path / "asset").mkdir()
    (tmp_path / "asset" / "text").write_text("true")
    with Workspace.init(tmp_path / "place") as workspace:
        digest = workspace.assets.add("dataset", tmp_path / "asset").digest
    assert (tmp_path / "place" / "books" / "all.db").is_file()
    (tmp_path / "place" / "below").mkdir()
    monkeypatch.chdir(tmp_path / "place" / "below")
    with Workspace.open(".") as workspace:
        assert workspace.assets[digest].verify().problems == ()
