"""A file is read as somebody wrote it, or not at all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loresmith.data.raw_files import RawFile, read_raw
from loresmith.data.scan import Entry

SIZE = 64 << 20
"""That takes longer to read than a clock's tick."""


@contextmanager
def written_to(path: Path, times: int) -> Iterator[None]:
    """Have the file written to in place so many times, a few milliseconds apart: between two calls of the reader."""
    file = os.open(path, os.O_WRONLY)
    left = times

    def write(*_: object) -> None:
        nonlocal left
        left -= 1
        os.pwrite(file, b"b", 0)
        if not left:
            signal.setitimer(signal.ITIMER_REAL, 0)

    before = signal.signal(signal.SIGALRM, write)
    signal.setitimer(signal.ITIMER_REAL, 0.006, 0.006)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        os.close(file)


@pytest.fixture
def large(tmp_path: Path) -> Entry:
    path = tmp_path / "large.txt"
    path.write_bytes(b"a" * SIZE)
    os.utime(path, (1, 1))
    return Entry(path.name, str(path))


def test_a_file_that_goes_on_being_written_to_is_refused(large: Entry) -> None:
    with written_to(Path(large.location), 10_000):
        found = read_raw(large, 2 * SIZE)
    assert not isinstance(found, RawFile)
    assert found.reason == "changed while read"


def test_a_file_that_was_written_to_once_is_read_again(large: Entry) -> None:
    with written_to(Path(large.location), 1):
        found = read_raw(large, 2 * SIZE)
    assert isinstance(found, RawFile)
    assert (found.data[:2], found.size) == (b"ba", SIZE)
    assert found.modified == Path(large.location).stat().st_mtime
