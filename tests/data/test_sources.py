"""Databases, Git repositories and URLs give what is in them, in the same order each time, and no secret."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import fsspec
import pytest
import sqlalchemy as sql

from loresmith.data.database_source import read_query
from loresmith.data.git_source import GitFile, read_repository
from loresmith.data.readers.record import ReadingRules, Record, Refused
from loresmith.data.remote_places import remote_entries
from loresmith.errors import Failure, UserError
from tests.ledger.postgres import PostgresServer

RULES = ReadingRules()


@pytest.fixture
def faults(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "faults.db") as connection:
        connection.execute("CREATE TABLE fault (id INTEGER PRIMARY KEY, code TEXT, cause TEXT)")
        rows = [(number, f"E{number}", "pump") for number in range(3000)]
        connection.executemany("INSERT INTO fault VALUES (?, ?, ?)", rows)
    connection.close()
    return f"sqlite:///{tmp_path}/faults.db"


def test_a_query_gives_its_rows_as_records(faults: str) -> None:
    query = "SELECT id, code || ': 100%' AS what, cause FROM fault WHERE code <> 'a:b;--' ORDER BY id DESC;"
    found = list(read_query(faults, query, ReadingRules(template="{{ what }} ({{ cause }})")))
    assert len(found) == 3000
    first = found[0]
    assert isinstance(first, Record)
    assert (first.text, first.anchor, first.bytes) == ("E2999: 100% (pump)", "#row-1", 18)
    assert json.loads(first.metadata) == {"id": 2999, "what": "E2999: 100%", "cause": "pump"}
    assert found == list(read_query(faults, query, ReadingRules(template="{{ what }} ({{ cause }})")))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FROM fault", "order"),
        ("SELECT *, row_number() OVER (ORDER BY id) FROM fault", "order"),
        ("SELECT * FROM (SELECT * FROM fault ORDER BY id)", "order"),
        ("SELECT 'ORDER BY' FROM fault -- ORDER BY id", "order"),
        ("DELETE FROM fault", "only reads"),
        ("WITH x AS (DELETE FROM fault RETURNING id) SELECT * FROM x ORDER BY id", "only reads"),
        ("SELECT 1 ORDER BY 1; DROP TABLE fault", "only reads"),
        ("PRAGMA table_info(fault)", "only reads"),
        ("SELECT * FROM falt ORDER BY id", "no such table"),
        ("SELECT FROM ORDER BY", "refuses the query"),
    ],
)
def test_a_query_that_cannot_be_used_is_a_users_mistake(faults: str, query: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        list(read_query(faults, query, RULES))


def test_a_template_that_names_no_column_of_a_query_is_a_users_mistake(faults: str) -> None:
    with pytest.raises(UserError, match="did you mean 'cause'"):
        list(read_query(faults, "SELECT * FROM fault ORDER BY id", ReadingRules(template="{{ cuase }}")))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+pg8000://ada:s3cr3t-word@127.0.0.1:1/db",
        "postgresql+pg8000://ada:s3cr3t-word@127.0.0.1:1/db?nonsense=s3cr3t-word",
        "postgresql+nosuchdriver://ada:s3cr3t-word@h/db",
        "nosuchdatabase://ada:s3cr3t-word@h/db",
        "mysql+pymysql://ada:s3cr3t-word@h/db",
        "sqlite:////nowhere/s3cr3t.db",
        "sqlite:///file:/nowhere/x.db?mode=s3cr3t-word&uri=true",
        "s3cr3t-word",
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_who_asks(url: str) -> None:
    with pytest.raises((UserError, Failure)) as caught:
        list(read_query(url, "SELECT 1 ORDER BY 1", RULES))
    assert "s3cr3t-word" not in str(caught.value)
    assert "ada" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_database_is_never_made_or_changed(tmp_path: Path, faults: str) -> None:
    before = (tmp_path / "faults.db").read_bytes()
    list(read_query(faults, "SELECT * FROM fault ORDER BY id", RULES))
    with pytest.raises(UserError, match="no database"):
        list(read_query(f"sqlite:///{tmp_path}/other.db", "SELECT 1 ORDER BY 1", RULES))
    assert [path.name for path in tmp_path.iterdir()] == ["faults.db"]
    assert (tmp_path / "faults.db").read_bytes() == before


def test_what_a_database_has_still_to_write_is_read_and_left_to_it(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "live.db")
    connection.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1);")
    (tmp_path / "copy").mkdir()
    for name in ("live.db", "live.db-wal"):
        shutil.copy(tmp_path / name, tmp_path / "copy" / name)
    connection.close()
    before = (tmp_path / "copy" / "live.db-wal").read_bytes()
    (record,) = read_query(f"sqlite:///{tmp_path}/copy/live.db", "SELECT x FROM t ORDER BY x", RULES)
    assert isinstance(record, Record)
    assert record.text == "x: 1\n"
    assert (tmp_path / "copy" / "live.db-wal").read_bytes() == before


@pytest.mark.slow
def test_postgresql_is_read_in_a_stream_and_cannot_be_written() -> None:
    with tempfile.TemporaryDirectory(prefix="loresmith-pg-") as folder:
        server = PostgresServer(Path(folder))
        try:
            url = server.make_database()
            engine = sql.create_engine(url)
            with engine.begin() as connection:
                connection.exec_driver_sql(
                    "CREATE TABLE fault AS SELECT n AS id, 'E' || n AS code FROM generate_series(1, 5000) n"
                )
                connection.exec_driver_sql("CREATE SEQUENCE used")
            engine.dispose()
            found = list(read_query(url, "SELECT * FROM fault WHERE code LIKE 'E%' ORDER BY id", RULES))
            assert [part.text for part in found if isinstance(part, Record)][-1] == "id: 5000\ncode: E5000\n"
            with pytest.raises(UserError, match="read-only"):
                list(read_query(url, "SELECT nextval('used') ORDER BY 1", RULES))
        finally:
            server.stop()


def git(folder: Path, *arguments: str) -> str:
    environment = {
        **os.environ,
        **dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "2026-11-02T10:00:00Z"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "HOME": str(folder),
    }
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, env=environment, check=True, capture_output=True)
    return done.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "docs").mkdir(parents=True)
    git(folder, "init", "-q")
    (folder / "docs" / "a.md").write_text("# first\n")
    (folder / "z.py").write_text("x = 1\n")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "big.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    (folder / "odd\nname").write_text("odd")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin\n\nWith care.")
    git(folder, "tag", "-a", "v1", "-m", "one")
    (folder / "docs" / "a.md").write_text("# second\n")
    git(folder, "commit", "-q", "-a", "-m", "Go on")
    (folder / "docs" / "a.md").write_text("# not committed\n")
    return folder


def files(found: list[GitFile | Refused]) -> dict[str, bytes]:
    return {one.path: one.data for one in found if isinstance(one, GitFile)}


def test_a_repository_gives_the_files_of_a_commit(repository: Path) -> None:
    found = list(read_repository(repository))
    assert files(found) == {"docs/a.md": b"# second\n", "odd\\x0aname": b"odd", "z.py": b"x = 1\n"}
    assert [(one.anchor, one.reason) for one in found if isinstance(one, Refused)] == [
        ("big.bin", "kept elsewhere"),
        ("link", "not a regular file"),
    ]
    (first, *_) = (one for one in found if isinstance(one, GitFile))
    assert first.metadata == {"commit": git(repository, "rev-parse", "HEAD"), "date": "2026-11-02T10:00:00Z"}
    assert files(list(read_repository(repository, "v1")))["docs/a.md"] == b"# first\n"
    assert (
        files(list(read_repository(repository, git(repository, "rev-parse", "HEAD~1")[:10])))["docs/a.md"]
        == b"# first\n"
    )
    bare = repository.parent / "bare.git"
    git(repository.parent, "clone", "-q", "--bare", str(repository), str(bare))
    assert list(read_repository(bare)) == found


def test_history_is_messages_with_what_they_changed(repository: Path) -> None:
    found = files(list(read_repository(repository, history=True)))
    commits = [data.decode() for path, data in found.items() if path.startswith(".git/commits/")]
    assert len(commits) == 2
    assert "\nAuthor: Ada <ada@example.org>\nDate: 2026-11-02T10:00:00Z\n\nGo on\n" in commits[0]
    assert "\n-# first\n+# second\n" in commits[0]
    assert "\n\nBegin\n\nWith care.\n" in commits[1]


def test_nothing_of_a_repository_is_run(repository: Path) -> None:
    trap = repository / "trap"
    (repository / ".gitattributes").write_text("* filter=evil diff=evil\n")
    git(repository, "add", ".gitattributes")
    git(repository, "commit", "-q", "-m", "trap")
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {trap}\n")
    hook.chmod(0o755)
    with (repository / ".git" / "config").open("a") as config:
        for key in ("filter.evil.smudge", "filter.evil.process", "diff.evil.textconv", "core.fsmonitor", "core.pager"):
            section, _, name = key.rpartition(".")
            top, _, sub = section.partition(".")
            config.write(f'[{top}{f" {chr(34)}{sub}{chr(34)}" if sub else ""}]\n\t{name} = "touch {trap}"\n')
    assert list(read_repository(repository, history=True))
    assert not trap.exists()


def test_what_is_no_repository_or_revision_is_a_users_mistake_and_damage_a_failure(repository: Path) -> None:
    with pytest.raises(UserError, match="no Git repository"):
        list(read_repository(repository.parent))
    with pytest.raises(UserError, match=r"no revision 'nowhere'; there are .*main"):
        list(read_repository(repository, "nowhere"))
    with pytest.raises(UserError, match="no revision"):
        list(read_repository(repository, "--upload-pack=touch x"))
    blob = git(repository, "rev-parse", "HEAD:z.py")
    path = repository / ".git" / "objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    with pytest.raises(Failure, match="damaged or incomplete"):
        list(read_repository(repository))
    path.unlink()
    with pytest.raises(Failure, match="damaged or incomplete"):
        list(read_repository(repository))


@pytest.fixture
def store() -> str:
    memory = fsspec.filesystem("memory")
    for name, data in {"b.txt": b"2", "docs/a.md": b"11", "docs/deep/c.md": b"333", "odd\nname": b"4"}.items():
        memory.pipe(f"/place/{name}", data)
    return "memory://place"


def names(url: str, **options: Any) -> list[str]:
    return [entry.path for entry in remote_entries(url, **options)]


def test_files_below_a_url_are_found_in_order_and_read(store: str, tmp_path: Path) -> None:
    assert names(store) == ["b.txt", "docs/a.md", "docs/deep/c.md", "odd\\x0aname"]
    assert names(store, include=["*.md"], exclude=["deep"]) == ["docs/a.md"]
    assert names(f"{store}/docs/a.md") == ["a.md"]
    assert [entry.read(100) for entry in remote_entries(store)] == [b"2", b"11", b"333", b"4"]
    assert [entry.size for entry in remote_entries(store)] == [1, 2, 3, 1]
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "f.txt").write_text("five")
    (tmp_path / "x" / "link").symlink_to("/etc/passwd")
    found = list(remote_entries(f"file://{tmp_path}"))
    assert [(entry.path, entry.refusal) for entry in found] == [("x/f.txt", ""), ("x/link", "symbolic link")]
    assert found[0].read(100) == b"five"
    assert found[0].modified > 1e9
    unread = found[1].read(100)
    assert isinstance(unread, Refused)


def test_a_file_larger_than_allowed_or_gone_is_not_read(store: str) -> None:
    (entry,) = remote_entries(f"{store}/docs/deep/c.md")
    memory = fsspec.filesystem("memory")
    memory.pipe("/place/docs/deep/c.md", b"x" * 1000)  # it grew
    for largest in (2, 3, 999):
        found = entry.read(largest)
        assert isinstance(found, Refused)
        assert found.reason == "too large"
    memory.rm("/place/docs/deep/c.md")
    gone = entry.read(10_000)
    assert isinstance(gone, Refused)
    assert gone.reason == "vanished"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory://nowhere", "no file in memory://nowhere"),
        ("http://example.org/x", "allow_http"),
        ("https://example.org/x", "allow_http"),
        ("nosuch://x", "nothing reads nosuch://"),
        ("gs://bucket", r"loresmith\[gs\]"),
        ("az://container", r"loresmith\[az\]"),
        ("simplecache::memory://place", "no URL of a place"),
        ("github://owner:repository@/x", "no URL of a place"),
        ("/a/folder", "no URL of a place"),
        ("s3://ada:s3cr3t-word@bucket/x", "password"),
        ("https://ada:s3cr3t-word@example.org/x?token=s3cr3t-word", "allow_http"),
    ],
)
def test_a_url_that_cannot_be_used_is_a_users_mistake(url: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        names(url)
    assert "s3cr3t-word" not in str(caught.value)
