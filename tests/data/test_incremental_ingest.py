"""A second ingest reads what has changed, and makes what reading everything would have made."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from loresmith import Workspace
from loresmith.data.reading.memory import KnownFiles

FILES = 40


def write_folder(folder: Path) -> Path:
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number}.txt").write_text(f"document {number}\n")
    (folder / "binary.bin").write_bytes(b"\0\1" * 100)
    return folder


def ingested(workspace: Path, folder: Path) -> tuple[dict[str, str], list[str]]:
    """Digests of what the step made, and what it said."""
    if not workspace.exists():
        workspace.mkdir()
        Workspace.init(workspace).close()
    recipe = workspace / "recipe.yaml"
    recipe.write_text(f"name: texts\nsteps:\n  files: {{step: ingest, path: {json.dumps(str(folder))}}}\n")
    events: list[dict[str, Any]] = []
    with Workspace.open(workspace) as opened:
        opened.run(recipe, lambda event: events.append(dict(event)))
        (step,) = opened.plan(recipe).steps
    return dict(step.outputs), [event["message"] for event in events if event["event"] == "log"]


def settle() -> None:
    """Until no file changed so lately that its time could hide another change."""
    time.sleep(2.1)


def test_a_second_ingest_reads_the_files_that_changed(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in")
    settle()
    first, said = ingested(tmp_path / "warm", folder)
    assert not any("as they were" in line for line in said)
    (folder / "1.txt").write_text("changed\n")
    (folder / "2.txt").write_bytes((folder / "2.txt").read_bytes())  # written anew, and the same
    (folder / "new.txt").write_text("new\n")
    (folder / "3.txt").unlink()
    second, said = ingested(tmp_path / "warm", folder)
    assert f"read 3 of {FILES} files; the others are as they were" in said
    cold, said = ingested(tmp_path / "cold", folder)
    assert not any("as they were" in line for line in said)
    assert second == cold != first, "what is remembered decides no result"


def test_what_is_remembered_may_be_gone_or_damaged(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in")
    settle()
    first, _ = ingested(tmp_path / "w", folder)
    (folder / "1.txt").write_text("changed\n")
    cache = tmp_path / "w" / ".loresmith" / "cache" / "ingest"
    kept = [path for path in (cache / "extractions").rglob("*") if path.is_file()]
    assert len(kept) == FILES
    for number, path in enumerate(kept):
        if number % 2:
            path.write_bytes(path.read_bytes()[:-3] + b"xyz")
        else:
            path.unlink()
    for database in cache.glob("known-files.sqlite*"):
        database.write_bytes(b"no database")
    second, _ = ingested(tmp_path / "w", folder)
    (folder / "1.txt").write_text("document 1\n")
    again, _ = ingested(tmp_path / "w", folder)
    assert again == first != second


def test_a_damaged_copy_in_the_workspace_is_not_taken_for_the_file(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in")
    settle()
    ingested(tmp_path / "w", folder)
    blobs = (path for path in (tmp_path / "w" / ".loresmith" / "blobs").rglob("*") if path.is_file())
    (blob,) = (path for path in blobs if path.read_bytes() == b"document 7\n")
    blob.chmod(0o644)
    blob.write_bytes(b"DOCUMENT 7\n")
    (folder / "1.txt").write_text("changed\n")
    warm, said = ingested(tmp_path / "w", folder)
    assert f"read 2 of {FILES} files; the others are as they were" in said
    assert warm == ingested(tmp_path / "cold", folder)[0]


def test_a_file_is_known_only_while_nothing_about_it_changed(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in")
    settle()
    ingested(tmp_path / "w", folder)
    changes = {"1": "other text\n", "2": "document x\n", "3": None}
    for name, text in changes.items():
        path = folder / f"{name}.txt"
        before = path.stat()
        if text is None:
            (tmp_path / "other").write_text("document y\n")
            (tmp_path / "other").replace(path)
        else:
            path.write_text(text)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # its time tells nothing
    with KnownFiles(tmp_path / "w" / ".loresmith" / "cache" / "ingest") as known:
        unknown = {path.stem for path in folder.iterdir() if known.look(str(path), 64 << 20) is None}
    assert unknown == set(changes)


def test_a_file_that_changed_a_moment_ago_is_read_again(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in")
    soon = time.time() + 60  # however long the first reading takes
    for path in folder.iterdir():
        os.utime(path, (soon, soon))
    ingested(tmp_path / "w", folder)
    (folder / "1.txt").write_text("changed\n")
    _, said = ingested(tmp_path / "w", folder)
    assert not any("as they were" in line for line in said)


def gone(workspace: Path, place: Path, step: str = "ingest", **settings: Any) -> list[tuple[str, ...]]:
    """The files that a run of a recipe over a place says are gone, as it says and as is on its record."""
    if not workspace.exists():
        workspace.mkdir()
        Workspace.init(workspace).close()
    recipe = workspace / "recipe.yaml"
    steps = {"files": {"step": step, "path": str(place), **settings}}
    recipe.write_text(json.dumps({"name": "texts", "steps": steps}))
    events: list[dict[str, Any]] = []
    with Workspace.open(workspace) as opened:
        run = opened.run(recipe, lambda event: events.append(dict(event)))
        (state,) = run.steps()
    told = [tuple(event["gone"]["first"]) for event in events if "gone" in event]
    assert told == ([state.gone.first] if state.gone else [])
    return told


def test_what_is_gone_is_on_the_record_of_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "abcd":
        (folder / f"{name}.txt").write_text(f"document {name}\n")
    place = tmp_path / "link"
    place.symlink_to(folder)
    assert gone(tmp_path / "w", place) == []
    (folder / "a.txt").unlink()
    assert gone(tmp_path / "w", place) == [("a.txt",)]
    assert gone(tmp_path / "w", place) == []
    (folder / "new.txt").write_text("new\n")
    (folder / "b.txt").write_bytes(b"\0\1" * 100)  # refused from now on, and there
    assert gone(tmp_path / "w", place) == []
    assert gone(tmp_path / "w", place, exclude=["c.txt"]) == []
    (folder / "b.txt").write_text("document b\n")
    (folder / "new.txt").unlink()
    assert gone(tmp_path / "w", place) == [("new.txt",)], "though the step is found done"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "z.txt").write_text("elsewhere\n")
    assert gone(tmp_path / "w", tmp_path / "other") == [], "of another place nothing is known"


def commit_all(place: Path) -> None:
    porcelain = pytest.importorskip("dulwich.porcelain")
    if not (place / ".git").exists():
        porcelain.init(str(place))
    there = {path.name for path in place.iterdir() if path.is_file()}
    known = {name.decode() for name in porcelain.ls_files(str(place))}
    porcelain.add(str(place), [str(place / name) for name in sorted(there)])
    porcelain.remove(str(place), [str(place / name) for name in sorted(known - there)], cached=True)
    porcelain.commit(str(place), b"As it is", author=b"A <a@b.c>", committer=b"A <a@b.c>")


def test_files_that_are_gone_from_a_repository_are_on_the_record_of_the_run(tmp_path: Path) -> None:
    place = tmp_path / "in"
    place.mkdir()
    for name in ("a.txt", "b.txt", "c.dat", "ä.txt"):
        (place / name).write_text(f"document {name}\n")
    commit_all(place)
    wanted = {"step": "ingest-git", "exclude": ["*.dat"], "history": True}
    assert gone(tmp_path / "w", place, **wanted) == []
    for name in ("b.txt", "c.dat", "ä.txt"):
        (place / name).unlink()
    (place / "a.txt").write_bytes(b"\0\1" * 100)  # refused from now on, and there
    assert gone(tmp_path / "w", place, **wanted) == [], "only commits are read"
    commit_all(place)
    assert gone(tmp_path / "w", place, **wanted) == [("b.txt", "ä.txt")]
    assert gone(tmp_path / "w", place, **wanted) == []


def test_conversations_that_are_gone_are_on_the_record_of_the_run(tmp_path: Path) -> None:
    place = tmp_path / "in"
    place.mkdir()
    for name in "abc":
        asked = [{"prompt": f"{name}{number}?", "completion": f"{number}."} for number in range(20)]
        (place / f"{name}.jsonl").write_text("\n".join(map(json.dumps, asked)))
    wanted = {"step": "ingest-messages", "on_error": "quarantine"}
    assert gone(tmp_path / "w", place, **wanted) == []
    (place / "a.jsonl").unlink()
    (place / "b.jsonl").write_bytes(b"\0\1" * 100)
    assert gone(tmp_path / "w", place, **wanted) == [("a.jsonl",)]
    (place / "b.jsonl").write_bytes((place / "c.jsonl").read_bytes().replace(b"c", b"b"))
    assert gone(tmp_path / "w", place, **wanted) == []
    assert gone(tmp_path / "w", place, exclude=["b.jsonl"], **wanted) == []


def test_what_was_there_before_changes_nothing_that_is_made(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in")
    ingested(tmp_path / "w", folder)
    (folder / "1.txt").unlink()
    assert ingested(tmp_path / "w", folder)[0] == ingested(tmp_path / "fresh", folder)[0]
