"""From a snapshot and its books, `ingest` makes again what it made from the original, to the byte."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.data.path_names import path_name, raw_path
from loresmith.data.steps import INGEST, IngestConfig
from loresmith.errors import UserError
from loresmith.factory.step import Made, Result
from tests.data.tables import files_of, rows, write_files
from tests.step_context import run_step


def restored(result: Result, config: IngestConfig, folder: Path) -> IngestConfig:
    assert INGEST.restore_sources is not None
    folder.mkdir()
    found = INGEST.restore_sources(config, {role: made.directory for role, made in result.outputs.items()}, folder)
    assert isinstance(found, IngestConfig)
    return found


def held(outputs: Mapping[str, Made]) -> dict[str, Any]:
    """Everything by which an asset is known."""
    return {role: (files_of(made.directory), made.metadata, made.labels) for role, made in outputs.items()}


def require_the_same_again(tmp_path: Path, **settings: Any) -> IngestConfig:
    """Ingest, restore elsewhere, ingest that: outputs, books and fingerprint are the same."""
    config = IngestConfig.model_validate(settings)
    first = run_step(INGEST, tmp_path / "first", settings)
    again = restored(first, config, tmp_path / "restored")
    second = run_step(INGEST, tmp_path / "second", again.model_dump())
    assert held(second.outputs) == held(first.outputs)
    assert second.books == first.books
    assert INGEST.fingerprint is not None
    assert INGEST.fingerprint(again) == INGEST.fingerprint(config)
    return again


def test_texts_and_the_times_at_which_they_were_written(tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "in", {"a/b.md": "old", "c.jsonl": '{"text": "x"}\nno\n{"text": "y"}\n', "d.txt": ""}
    )
    os.utime(folder / "a/b.md", ns=(0, 1_234_567_890_123_456_789))
    os.utime(folder / "c.jsonl", ns=(0, -86_400_000_000_001))
    (folder / "c.jsonl#L1").write_text("a file that is called like a line of another")
    require_the_same_again(tmp_path, path=str(folder), include=["**"], labels=["internal"])


def test_what_was_refused_is_refused_again_for_the_same_reason(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"real.txt": "text", "pixels.png": b"\x89PNG\0\0", "big.txt": "z" * 5000})
    write_files(folder, {"folder/inner.txt": "inner", "bad.txt": b"\xff", "left/alone.txt": "not wanted"})
    os.mkfifo(folder / "fifo")
    for name, target in [("loop", "loop"), ("up", ".."), ("inside", "folder"), ("gone", "nowhere"), ("on", "real.txt")]:
        (folder / name).symlink_to(target)
    (folder / "new\nline.txt").write_text("odd name")
    Path(os.fsdecode(bytes(folder) + b"/caf\xe9 \\x41.txt")).write_text("older name")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        again = require_the_same_again(tmp_path, path=str(folder), exclude=["left"], max_file_bytes=4096)
    reasons = {row["path"] for row in rows(tmp_path / "second/outputs/documents", "books.parquet") if row["reason"]}
    assert len(reasons) == 9
    assert {path.name for path in Path(str(again.path)).iterdir()} == {path.name for path in folder.iterdir()} - {
        "left"
    }


def test_links_lead_to_what_they_led_to(tmp_path: Path) -> None:
    place = write_files(tmp_path / "in", {"hr/pay.md": "pay", "hr/.rights.yaml": "labels: [hr]\n", "no/a.md": "left"})
    other = write_files(tmp_path / "other", {"b.md": "b"})
    (place / "open").mkdir()
    (place / "open" / "pay\n.md").symlink_to("../hr/pay.md")
    (place / "open" / "out.md").symlink_to("../no/a.md")
    require_the_same_again(tmp_path, path=str(place), exclude=["no"])
    found = {row["path"]: row["labels"] for row in rows(tmp_path / "second/outputs/documents")}
    assert found == {"hr/pay.md": ["hr"], r"open/pay\x0a.md": ["hr"]}
    require_the_same_again(tmp_path / "two", path=[str(place), str(other)], exclude=["no"])


def test_several_places_keep_their_names_also_where_nothing_matched(tmp_path: Path) -> None:
    left, right = write_files(tmp_path / "left", {"a.txt": "one"}), write_files(tmp_path / "right", {"b.pdf": "two"})
    note = write_files(tmp_path, {"note.txt": "three"}) / "note.txt"
    require_the_same_again(tmp_path, path=[str(left), str(right), str(note)], include=["*.txt"])


def test_a_place_that_was_one_file(tmp_path: Path) -> None:
    note = write_files(tmp_path, {"note.txt": "three"}) / "note.txt"
    require_the_same_again(tmp_path, path=str(note))


def test_what_cannot_be_made_so_again_is_named(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"ok.txt": "fine"})
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=descriptor)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    result = run_step(INGEST, tmp_path / "first", {"path": str(folder)})
    with pytest.raises(UserError, match="path too long") as caught:
        restored(result, IngestConfig(path=str(folder)), tmp_path / "restored")
    assert str(caught.value.where).startswith("d" * 200)


@pytest.mark.parametrize("name", [r"\x2e\x2e/up.txt", r"\x2fetc/passwd", "../up.txt", "a//b"])
def test_a_snapshot_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_files(tmp_path / "in", {"a.txt": "text"})
    result = run_step(INGEST, tmp_path / "first", {"path": str(folder)})
    listing = result.outputs["source"].directory / "listing.jsonl"
    listing.write_text(listing.read_text().replace('"a.txt"', f'"{name}"'.replace("\\", "\\\\")))
    with pytest.raises(UserError, match="called so"):
        restored(result, IngestConfig(path=str(folder)), tmp_path / "restored")
    assert not (tmp_path / "up.txt").exists()


@given(st.binary(min_size=1, max_size=60).map(lambda data: data.replace(b"\0", b"").replace(b"/", b"")).filter(bool))
def test_a_written_name_is_read_back(component: bytes) -> None:
    raw = os.fsdecode(component)
    assert raw_path(path_name(raw)) == raw
