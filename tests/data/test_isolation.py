"""What reads strangers' files has no network, and it is said how far that holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from loresmith.data.readers.record import ReadingRules
from loresmith.data.reading.isolation import SHUT_OFF
from loresmith.data.reading.limits import Limits
from loresmith.data.reading.pool import ReadingPool
from tests.data.tables import write_files
from tests.step_context import RecordingContext


def said_by(code: str) -> str:
    """What a process of its own prints: what is given up is not given back."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "way",
    [
        "socket.create_connection(('127.0.0.1', port), 1)",
        "socket.getaddrinfo('localhost', port)",
        "socket.socket().sendto(b'x', ('127.0.0.1', port))",
        "urllib.request.urlopen(f'http://127.0.0.1:{port}/')",
        "subprocess.run(['true'])",
        "os.system('true')",
        "os.fork()",
    ],
)
def test_where_the_system_refuses_python_cannot_get_out(way: str) -> None:
    said = said_by(f"""
import errno, os, socket, subprocess, urllib.request
listening = socket.create_server(("127.0.0.1", 0))
port = listening.getsockname()[1]
from loresmith.data.reading.isolation import leave_the_network
print(leave_the_network(lambda flags: errno.EPERM))
try:
    {way}
except OSError as error:
    print("shut" if isinstance(getattr(error, "reason", error), PermissionError) else error)
""")
    assert said.splitlines() == [
        "network not shut off: Operation not permitted; Python's ways to it are",
        "shut",
    ]


def test_where_the_system_shuts_it_off_nothing_is_there() -> None:
    said = said_by("""
import socket
listening = socket.create_server(("127.0.0.1", 0))
from loresmith.data.reading.isolation import leave_the_network
print(leave_the_network())
try:
    socket.create_connection(listening.getsockname(), 1)
except OSError:
    print("shut")
""").splitlines()
    assert said[1:] == ["shut"]
    assert said[0] == SHUT_OFF or said[0].startswith("network not shut off: ")


def test_the_pool_knows_what_its_workers_have(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "a.txt").write_text("text")
    with ReadingPool(1, ReadingRules(), Limits(), tmp_path / "spool") as pool:
        assert pool.isolation == ""
        pool.result(pool.submit(tmp_path / "a.txt", "a.txt", 4))
        assert "network" in pool.isolation


def test_the_step_says_it_and_its_assets_do_not(tmp_path: Path) -> None:
    from loresmith.data.steps import INGEST, IngestConfig

    folder = write_files(tmp_path / "in", {"a.txt": "text"})
    context = RecordingContext(tmp_path / "out")
    result = INGEST.run(context, IngestConfig(path=str(folder)), {})
    assert any(line.startswith("isolation of the readers: ") and "network" in line for line in context.logs)
    assert not any("network" in str(made.metadata) for made in result.outputs.values())
