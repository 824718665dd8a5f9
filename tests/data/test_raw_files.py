"""A file is read as somebody wrote it, or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from loresmith.data.raw_files import ATTEMPTS, RawFile, read_raw
from loresmith.data.scan import Entry

SIZE = 1 << 20


def write_while_read(path: Path, times: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have the file written to in place so many times, each when all of it is read and nothing more was asked of it.

    Returns:
        What grows by an entry with each writing.
    """
    fstat, asked = os.fstat, 0
    written: list[int] = []

    def write_then_ask(descriptor: int) -> os.stat_result:
        nonlocal asked
        asked += 1
        if asked % 2 == 0 and len(written) < times:
            time.sleep(0.02)  # The system's clock of files ticks a few milliseconds at a time.
            with path.open("r+b") as file:
                file.write(b"b")
            written.append(asked)
        return fstat(descriptor)

    monkeypatch.setattr(os, "fstat", write_then_ask)
    return written


@pytest.fixture
def large(tmp_path: Path) -> Entry:
    path = tmp_path / "large.txt"
    path.write_bytes(b"a" * SIZE)
    os.utime(path, (1, 1))
    return Entry(path.name, str(path))


def test_a_file_that_goes_on_being_written_to_is_refused(large: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write_while_read(Path(large.location), 1000, monkeypatch)
    found = read_raw(large, 2 * SIZE)
    assert not isinstance(found, RawFile)
    assert (found.reason, found.size) == ("changed while read", SIZE)
    assert len(written) == ATTEMPTS


def test_a_file_that_was_written_to_once_is_read_again(large: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write_while_read(Path(large.location), 1, monkeypatch)
    found = read_raw(large, 2 * SIZE)
    assert len(written) == 1
    assert isinstance(found, RawFile)
    assert (found.data[:2], found.size) == (b"ba", SIZE)
    assert found.modified == Path(large.location).stat().st_mtime
