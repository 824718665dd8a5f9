"""Documents from elsewhere than a folder: a URL, a Git repository's commit, a database's query, an archive."""

from __future__ import annotations

import gzip
import io
import json
import os
import sqlite3
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest
from dulwich import porcelain
from pydantic import ValidationError

from loresmith.data.steps import INGEST, INGEST_GIT, INGEST_QUERY, IngestConfig, IngestGitConfig, IngestQueryConfig
from loresmith.errors import Interrupted, UserError
from loresmith.factory.recipe import read_recipe
from tests.data.canary import files_with
from tests.data.pdf_files import Page, pdf
from tests.data.tables import ingest, rows, write_files
from tests.step_context import RecordingContext, run_step


def read(step: Any, folder: Path, config: dict[str, Any]) -> list[dict[str, Any]]:
    return rows(run_step(step, folder, config).outputs["documents"].directory)


def commit(folder: Path, message: str) -> str:
    porcelain.add(str(folder), [str(path) for path in folder.rglob("*.txt")])
    who = b"Ada <ada@example.org>"
    made = porcelain.commit(
        str(folder), message.encode(), author=who, committer=who, author_timestamp=1, commit_timestamp=1
    )
    return made.decode()


def test_a_repository_is_read_as_of_a_commit_with_its_history_if_wanted(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "repo", {"a.txt": "first\n", "b/c.txt": "other\n"})
    porcelain.init(str(folder))
    first = commit(folder, "Begin")
    (folder / "a.txt").write_text("second\n")
    commit(folder, "Go on")
    (folder / "a.txt").write_text("not committed\n")
    now = read(INGEST_GIT, tmp_path / "now", {"path": str(folder)})
    assert [(row["path"], row["text"]) for row in now] == [("a.txt", "second\n"), ("b/c.txt", "other\n")]
    then = read(INGEST_GIT, tmp_path / "then", {"path": str(folder), "revision": first, "include": ["*.txt"]})
    assert then[0]["text"] == "first\n"
    assert json.loads(then[0]["metadata"])["commit"] == first
    whole = read(INGEST_GIT, tmp_path / "whole", {"path": str(folder), "history": True, "exclude": ["b"]})
    assert [row["path"].partition("/")[0] for row in whole] == ["a.txt", ".git", ".git"]
    assert "-first\n+second" in whole[1]["text"]
    assert INGEST_GIT.fingerprint is not None
    prints = [INGEST_GIT.fingerprint(IngestGitConfig(path=str(folder), revision=name)) for name in ("HEAD", first)]
    assert prints[0] != prints[1]
    with pytest.raises(UserError, match="no revision 'nowhere'"):
        read(INGEST_GIT, tmp_path / "nowhere", {"path": str(folder), "revision": "nowhere"})
    with pytest.raises(UserError, match="no file that matches"):
        read(INGEST_GIT, tmp_path / "none", {"path": str(folder), "include": ["*.md"]})


@pytest.fixture
def faults(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "faults.db") as database:
        database.execute("CREATE TABLE fault (code TEXT, remedy TEXT, seen INTEGER, labels TEXT)")
        rows = [("E1", "Fill the tank.", 3, "internal"), ("E2", "", 0, ""), ("E3", "Call us.", 1, "internal, hr")]
        database.executemany("INSERT INTO fault VALUES (?, ?, ?, ?)", rows)
    return f"sqlite:///{tmp_path}/faults.db"


def test_a_query_becomes_text_by_a_template_with_labels_from_a_column(faults: str, tmp_path: Path) -> None:
    config = {
        "url": faults,
        "query": "SELECT * FROM fault ORDER BY code",
        "name": "faults",
        "template": "{% if remedy %}{{ code }}: {{ remedy }}{% endif %}",
        "labels_field": "labels",
        "owner": "Service",
        "uses": ["train"],
    }
    result = run_step(INGEST_QUERY, tmp_path / "out", config)
    documents = rows(result.outputs["documents"].directory)
    assert [(row["path"], row["text"], row["labels"]) for row in documents] == [
        ("faults#row-1", "E1: Fill the tank.", ["internal"]),
        ("faults#row-3", "E3: Call us.", ["hr", "internal"]),
    ]
    assert {(row["owner"], *row["uses"]) for row in documents} == {("Service", "train")}
    kept = (result.outputs["source"].directory / "files" / "rows.jsonl").read_bytes()
    for row in documents:
        line = kept[row["source_start"] : row["source_start"] + row["source_bytes"]]
        assert json.loads(line)["text"] == row["text"]
    (refused,) = (
        row for row in rows(result.outputs["documents"].directory, "books.parquet") if row["disposition"] != "kept"
    )
    assert (refused["path"], refused["reason"]) == ("faults#row-2", "empty")


def test_a_query_without_the_column_of_labels_is_refused(faults: str, tmp_path: Path) -> None:
    query = "SELECT code, remedy AS text, labels AS lables FROM fault ORDER BY code"
    config = {"url": faults, "query": query, "labels_field": "labels"}
    with pytest.raises(UserError, match="'labels'; did you mean 'lables'"):
        run_step(INGEST_QUERY, tmp_path / "typo", config)
    query = "SELECT code AS text, CASE code WHEN 'E1' THEN 'hr' ELSE 7 END AS labels FROM fault ORDER BY code"
    result = run_step(INGEST_QUERY, tmp_path / "numbers", {"url": faults, "query": query, "labels_field": "labels"})
    documents = result.outputs["documents"].directory
    assert [(row["text"], row["labels"]) for row in rows(documents)] == [("E1", ["hr"])]
    refused = [row["reason"] for row in rows(documents, "books.parquet") if row["disposition"] == "quarantined"]
    assert refused == ["no labels", "no labels"]


def test_a_query_is_another_source_when_its_rows_are_others(
    faults: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert INGEST_QUERY.fingerprint is not None
    config = IngestQueryConfig(url=faults, query="SELECT code AS text FROM fault ORDER BY code")
    before = INGEST_QUERY.fingerprint(config)
    assert INGEST_QUERY.fingerprint(config) == before
    with sqlite3.connect(tmp_path / "faults.db") as database:
        database.execute("UPDATE fault SET code = 'E9' WHERE code = 'E3'")
    assert INGEST_QUERY.fingerprint(config) != before
    for wrong, said in (("SELECT * FROM fault", "in which order"), ("DROP TABLE fault", "only reads")):
        with pytest.raises(UserError, match=said):
            INGEST_QUERY.fingerprint(config.model_copy(update={"query": wrong}))
    hidden = IngestQueryConfig(url="sqlite:///${FAULTS}", query=config.query)
    with pytest.raises(UserError, match="the variable FAULTS is not set"):
        INGEST_QUERY.fingerprint(hidden)
    monkeypatch.setenv("FAULTS", str(tmp_path / "faults.db"))
    assert INGEST_QUERY.fingerprint(hidden) != before


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+pg8000://ada:SECRET@host/faults", "a password"),
        ("postgresql+pg8000://ada:SEC/RET@host/faults", "a password"),
        ("postgresql+pg8000://ada:SEC?RET@host/faults", "a password"),
        ("postgresql+pg8000://ada:SEC${PW}@host:${PORT}/faults", "a password"),
        ("${KIND}://ada:SECRET@host/faults", "a password"),
        ("postgresql+pg8000://host/faults?user=ada&password=SECRET", "a value for password"),
        ("${PLACE}?sslmode=require&sslpassword=SECRET", "a value for sslpassword"),
        ("databricks://host/faults?access_token=SECRET", "a value for access_token"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3D%7BX%7D%3BPWD%3DSECRET", "a value for PWD"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3D%7BX%7D%3BPWD%3D%7BSECRET%7D%3BUID%3Dada", "a value for PWD"),
    ],
)
def test_no_recipe_keeps_a_secret_of_a_database(url: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=f"it has {said} in it"):
        IngestQueryConfig(url=url, query="SELECT 1")
    step = {"step": "ingest-query", "url": url, "query": "SELECT 1 ORDER BY 1"}
    (tmp_path / "recipe.yaml").write_text(json.dumps({"name": "rows", "steps": {"rows": step}}))
    with pytest.raises(UserError) as refused:
        read_recipe(tmp_path / "recipe.yaml")
    assert "SEC" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+pg8000://ada:${PW}@host:${PORT}/faults",
        "postgresql+pg8000://host/faults?password=${PW}&passfile=/run/pass&application_name=tokens",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3D%7BX%7D%3BPWD%3D%7B${PW}%7D%3BUID%3Dada",
        "sqlite:////data/a:b@c.db",
        "${PLACE}",
    ],
)
def test_secrets_of_a_database_come_from_the_environment(url: str) -> None:
    assert IngestQueryConfig(url=url, query="SELECT 1").url == url


def test_a_url_is_read_as_a_folder_is(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/store/a.txt": b"one\n", "/store/sub/b.md": b"# Two\n", "/store/skip.bin": b"\0\1\2"})
    place = {"path": "memory://store", "exclude": ["skip.bin"]}
    documents = read(INGEST, tmp_path / "url", place)
    local = write_files(tmp_path / "store", {"a.txt": "one\n", "sub/b.md": "# Two\n"})
    same = read(INGEST, tmp_path / "local", {"path": str(local)})
    assert [(row["id"], row["path"], row["text"]) for row in documents] == [
        (row["id"], row["path"], row["text"]) for row in same
    ]
    assert INGEST.fingerprint is not None
    assert INGEST.fingerprint(IngestConfig(**place)) == INGEST.fingerprint(IngestConfig(path=str(local)))
    other = write_files(tmp_path / "other", {"c.txt": "three\n"})
    both = read(INGEST, tmp_path / "both", {"path": [str(other), "memory://store/sub"]})
    assert [row["path"] for row in both] == ["other/c.txt", "sub/b.md"]
    with pytest.raises(UserError, match="two of the places have the same name"):
        read(INGEST, tmp_path / "twice", {"path": [str(local), "memory://store"]})
    with pytest.raises(UserError, match="on the web"):
        read(INGEST, tmp_path / "web", {"path": "https://example.org/x"})


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A web server of this machine: its address, its folder, and what it was asked for."""
    pytest.importorskip("aiohttp", reason="the extra http is not installed")
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path / "web"))

        def log_message(self, *_arguments: Any) -> None:
            asked.append(self.path)

    (tmp_path / "web").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", tmp_path / "web", asked
        server.shutdown()


def test_the_web_is_read_only_where_a_recipe_allows_it(web: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    address, folder, asked = web
    write_files(folder, {"secret.txt": "other\n", "docs/a.txt": "one\n", "docs/sub/b.md": "# Two\n"})
    links = ["a.txt", "sub/b.md", "../secret.txt", "/secret.txt", f"{address}/secret.txt", "http://192.0.2.1/c.txt"]
    (folder / "docs" / "index.html").write_text("".join(f'<a href="{link}">x</a>' for link in links))
    with pytest.raises(UserError, match="on the web, which this recipe may not read"):
        read(INGEST, tmp_path / "refused", {"path": f"{address}/docs/"})
    assert asked == []
    (one,) = read(INGEST, tmp_path / "one", {"path": f"{address}/docs/a.txt", "allow_http": True})
    assert (one["path"], one["text"]) == ("a.txt", "one\n")
    found = read(INGEST, tmp_path / "page", {"path": f"{address}/docs/", "allow_http": True})
    assert [(row["path"], row["text"]) for row in found] == [("a.txt", "one\n"), ("sub/b.md", "# Two\n")]
    assert not any("secret" in path for path in asked)


def test_what_a_url_asks_for_is_in_no_name(web: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    address, folder, _ = web
    write_files(folder, {"m/manual.md": "# One\n", "n/other.txt": "two\n"})
    links = ["manual.md?X-Amz-Signature=SECRET", "?C=M;O=A"]
    (folder / "m" / "index.html").write_text("".join(f'<a href="{link}">x</a>' for link in links))
    signed = f"{address}/m/manual.md?X-Amz-Signature=SECRET"
    (one,) = read(INGEST, tmp_path / "one", {"path": signed, "allow_http": True})
    assert (one["path"], one["media_type"]) == ("manual.md", "text/markdown")
    two = [signed, f"{address}/n/other.txt?token=SECRET"]
    found = read(INGEST, tmp_path / "two", {"path": two, "allow_http": True})
    assert [row["path"] for row in found] == ["manual.md/manual.md", "other.txt/other.txt"]
    (linked,) = read(INGEST, tmp_path / "page", {"path": f"{address}/m/", "allow_http": True})
    assert linked["path"] == "manual.md"
    assert files_with(tmp_path, "SECRET") == ["web/m/index.html"]


def test_files_in_archives_are_documents_with_the_labels_of_all_around_them(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("pay/roll.txt", "salaries\n")
        archive.writestr("pay/deeper.zip", b"PK\x05\x06" + bytes(18))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("readme.md", "# Read me\n")
        archive.writestr("hr/inner.zip", inner.getvalue())
    table = gzip.compress(b"code,remedy\nE1,Fill the tank.\n", mtime=0)
    folder = write_files(
        tmp_path / "in", {"all.zip": outer.getvalue(), "plain.txt": "text\n", "t.csv.gz": table, "odd!/hr/x.txt": "y\n"}
    )
    rules = {"*.zip": ["packed"], "hr/**": ["hr"], "pay": ["pay"]}
    result = ingest(folder, tmp_path, label_rules=rules)
    documents = rows(result.outputs["documents"].directory)
    assert {row["path"]: row["labels"] for row in documents} == {
        "all.zip!/readme.md": ["packed"],
        "all.zip!/hr/inner.zip!/pay/roll.txt": ["hr", "packed", "pay"],
        "odd\\x21/hr/x.txt": [],
        "plain.txt": [],
        "t.csv.gz!/t.csv#L2": [],
    }
    books = {row["path"]: row for row in rows(result.outputs["documents"].directory, "books.parquet")}
    assert books["all.zip"]["disposition"] == books["all.zip!/hr/inner.zip"]["disposition"] == "unpacked"
    assert books["all.zip!/hr/inner.zip!/pay/deeper.zip"]["reason"] == "empty"


@pytest.mark.parametrize(
    ("limit", "reason"),
    [({"max_depth": 1}, "nested too deeply"), ({"max_unpacked_bytes": 2500}, "unpacks to too much")],
)
def test_what_an_archive_holds_is_limited(tmp_path: Path, limit: dict[str, int], reason: str) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deep.txt", "x" * 2400)
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("a.txt", "a\n")
        archive.writestr("inner.zip", inner.getvalue())
    folder = write_files(tmp_path / "in", {"all.zip": outer.getvalue()})
    result = ingest(folder, tmp_path, **limit)
    assert [row["path"] for row in rows(result.outputs["documents"].directory)] == ["all.zip!/a.txt"]
    books = rows(result.outputs["documents"].directory, "books.parquet")
    assert [row["reason"] for row in books if row["disposition"] == "quarantined"] == [reason]


def zipped(files: Mapping[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return held.getvalue()


@contextmanager
def sizes_of(folder: Path) -> Iterator[list[int]]:
    """What a folder takes at each moment while something is done."""
    found, done = [0], threading.Event()

    def look() -> None:
        while not done.is_set():
            size = 0
            for inside, _folders, names in os.walk(folder):
                for name in names:
                    with suppress(OSError):
                        size += Path(inside, name).stat().st_size
            found.append(size)
            time.sleep(0.02)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield found
    finally:
        done.set()
        looking.join()


@pytest.mark.parametrize("threads", [1, 3])
def test_archives_in_an_archive_take_no_more_of_the_disk_than_is_allowed(tmp_path: Path, threads: int) -> None:
    slow = b'{"text": "x"}\n' * 15_000  # its reader is at it while those behind it are unpacked
    inner = {f"{n:02}.zip": zipped({f"{m}.txt": b"%d " % n * 300_000 for m in range(3)}) for n in range(30)}
    allowed = len(slow) + 3_000_000
    archives = {"all.zip": zipped({"a.jsonl": slow, **inner}), "z.zip": zipped({"much.txt": b"y " * 900_000})}
    folder = write_files(tmp_path / "in", archives)
    context = RecordingContext(tmp_path, threads=threads)
    settings = {"path": str(folder), "max_unpacked_bytes": allowed}
    with sizes_of(tmp_path / "work" / "spool") as sizes:
        result = run_step(INGEST, tmp_path, settings, context=context)
    assert max(sizes) <= 2 * allowed
    kept = [row["path"] for row in rows(result.outputs["documents"].directory) if "#" not in row["path"]]
    assert kept == [*(f"all.zip!/00.zip!/{m}.txt" for m in range(3)), "all.zip!/01.zip!/0.txt", "z.zip!/much.txt"]
    books = rows(result.outputs["documents"].directory, "books.parquet")
    assert {row["reason"] for row in books if row["disposition"] == "quarantined"} == {"unpacks to too much"}


def test_a_page_of_a_document_is_found_by_its_bytes(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"two.jsonl": '{"text": "Übung eins"}\n{"text": "zwei"}\n'})
    documents = rows(ingest(folder, tmp_path).outputs["documents"].directory)
    raw = (folder / "two.jsonl").read_bytes()
    for row in documents:
        line = raw[row["source_start"] : row["source_start"] + row["source_bytes"]]
        assert json.loads(line)["text"] == row["text"]


def test_pages_begin_at_bytes_of_the_text(tmp_path: Path) -> None:
    lines = ["Die Förderschnecke fördert das Gut zum Ofen und wird täglich geprüft."] * 3
    folder = write_files(tmp_path / "in", {"two.pdf": pdf([Page(lines), Page(["Zweite Seite", *lines])])})
    (row,) = rows(ingest(folder, tmp_path).outputs["documents"].directory)
    first, second = row["pages"]
    assert (first["number"], first["start"], second["number"]) == (1, 0, 2)
    assert row["text"].encode()[second["start"] :].decode().startswith("Zweite Seite")


def test_a_request_to_stop_ends_reading_a_repository(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "repo", {f"{n}.txt": "text\n" for n in range(100)})
    porcelain.init(str(folder))
    commit(folder, "Begin")
    with pytest.raises(Interrupted):
        run_step(INGEST_GIT, tmp_path, {"path": str(folder)}, context=RecordingContext(tmp_path, stop_after=0))
