"""A folder of which every file is damaged on purpose, and that holds what is no file: all of it is accounted for."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from loresmith.data.steps import INGEST
from tests.data.tables import rows
from tests.data.test_container_fuzz import SEEDS as CONTAINERS
from tests.data.test_container_fuzz import mutated
from tests.data.test_damaged_documents import FILES as DOCUMENTS
from tests.step_context import run_step


def arrow_file(rows: list[dict[str, Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


PLAIN = {
    "a.txt": "Überall Text.\n".encode() * 20,
    "b.html": b"<title>T</title><table><tr><td>1<td>2</table>" * 20,
    "c.json": b'[{"text": "one"}, {"text": "two", "labels": ["x"]}]' * 3,
    "d.jsonl": b'{"text": "one"}\n{"text": "two"}\n' * 9,
    "e.py": b"def f(x):\n    return x + 1\n" * 9,
    "f.md": b"# Pump\n\n| part | number |\n|---|---|\n| seal | [4](x) |\n" * 9,
    "g.arrow": arrow_file([{"text": "one", "labels": ["x"]}, {"text": "two", "labels": []}] * 9),
}
SEEDS = {**CONTAINERS, **DOCUMENTS, **PLAIN}


def damaged_folder(folder: Path, files: int) -> int:
    """Write so many damaged files, and what is none beside them; returns how many there are in all."""
    folder.mkdir()
    noise = random.Random(7)
    names = sorted(SEEDS)
    for number in range(files):
        name = names[number % len(names)]
        (folder / f"{number:05d}-{name}").write_bytes(mutated(SEEDS[name], noise))
    (folder / "nested.html").write_bytes(b"<div>" * 200_000)
    (folder / "nested.json").write_bytes(b"[" * 200_000)
    (folder / "one line.txt").write_bytes(b"word " * 2_000_000)
    (folder / "not utf-8.txt").write_bytes(bytes(range(128, 256)) * 100)
    (folder / "loop").symlink_to("loop")
    (folder / "endless").symlink_to("/dev/zero")
    os.mkfifo(folder / "fifo")
    os.mknod(folder / "socket", 0o600 | stat.S_IFSOCK)
    devices = 0
    with suppress(PermissionError):
        os.mknod(folder / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # what /dev/zero is
        devices = 1
    (folder / "two\nlines.txt").write_text("text\n")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.txt")).write_text("text\n")
    return files + 10 + devices


def ingested(tmp_path: Path, files: int) -> Counter[tuple[str, str]]:
    """What became of the files, by disposition and reason; of every one that was there, something did."""
    there = damaged_folder(tmp_path / "in", files)
    limits = {"file_seconds": 20, "max_unpacked_bytes": 1 << 26}
    config = {"path": str(tmp_path / "in"), "encodings": ["utf-8", "auto"], **limits}
    documents = run_step(INGEST, tmp_path, config).outputs["documents"].directory  # its books balance, or it raises
    books = rows(documents, "books.parquet")
    tops = {row["path"].partition("#")[0].partition("!")[0] for row in books}
    assert len(tops) == there
    kept = {row["id"] for row in rows(documents)}
    assert kept == {row["id"] for row in books if row["disposition"] == "kept"}
    assert len(kept) > files / 10, "not everything is lost"
    return Counter((row["disposition"], row["reason"]) for row in books)


def test_whatever_a_folder_holds_is_kept_or_refused_with_a_reason(tmp_path: Path) -> None:
    fates = ingested(tmp_path, 3 * len(SEEDS))
    assert {disposition for disposition, _ in fates} == {"kept", "quarantined", "unpacked"}
    assert all(reason for disposition, reason in fates if disposition == "quarantined")
    assert not any(reason in ("crashed the reader", "took too long", "needed too much memory") for _, reason in fates)
    assert fates["quarantined", "symbolic link in a loop"] == 1
    assert fates["quarantined", "symbolic link that leads outside"] == 1
    assert fates["quarantined", "not a regular file"] in (2, 3), "a FIFO, a socket, and a device where one can be made"


@pytest.mark.slow
def test_two_thousand_damaged_files_are_kept_or_refused(tmp_path: Path) -> None:
    fates = ingested(tmp_path, 3000)
    assert all(reason for disposition, reason in fates if disposition == "quarantined")
    assert not any(reason in ("crashed the reader", "took too long", "needed too much memory") for _, reason in fates)


LEFT = """
import os, sys
from loresmith.data.reading import isolation
before = os.stat("/proc/self/ns/net").st_ino
isolation.leave_the_network()
sys.exit(os.stat("/proc/self/ns/net").st_ino == before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_no_reader_has_a_network() -> None:
    may = [sys.executable, "-c", "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x10000000 | 0x40000000))"]
    if subprocess.run(may, check=False).returncode:
        pytest.skip("this system does not let a process give up the network")
    assert subprocess.run([sys.executable, "-c", LEFT], check=False).returncode == 0
