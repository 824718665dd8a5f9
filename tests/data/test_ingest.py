from __future__ import annotations

import json
import os
import socket
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from loresmith.data.ingest import Selection, Workplace
from loresmith.data.ingest import ingest as ingest_files
from loresmith.data.path_names import path_name
from loresmith.data.raw_files import RawFile, UnreadFile, read_raw
from loresmith.data.readers.record import ReadingRules
from loresmith.data.rights import Rights
from loresmith.data.scan import Entry
from loresmith.data.steps import INGEST, IngestConfig
from loresmith.errors import Interrupted, UserError
from tests.data.tables import files_of, ingest, rows, write_files
from tests.step_context import RecordingContext, run_step


def fingerprint(folder: Path, **config: Any) -> str:
    assert INGEST.fingerprint is not None
    return INGEST.fingerprint(IngestConfig(path=str(folder), **config))


def test_files_of_many_kinds_become_documents(tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "in",
        {
            "a/code.py": "print('hello')\n",
            "b.md": "# Title\n\nText.\n",
            "c.html": "<title>T</title><p>One<p>Two",
            "d.jsonl": '{"text": "first", "id": 1}\n{"text": "second"}\nbroken\n',
            "e.txt": "plain\r\n",
            "latin.txt": "café".encode("latin-1"),
            "empty.txt": "",
            "blank.txt": " \n",
            "image.dat": b"\x99PNX\0\0",
        },
    )
    result = ingest(folder, tmp_path, licence="CC0-1.0", labels=["internal"], label_rules={"a/**": ["restricted"]})
    documents = rows(result.outputs["documents"].directory)
    assert [(row["path"], row["text"], row["language"]) for row in documents] == [
        ("a/code.py", "print('hello')\n", "python"),
        ("b.md", "# Title\n\nText.\n", ""),
        ("c.html", "One\n\nTwo\n", ""),
        ("d.jsonl#L1", "first", ""),
        ("d.jsonl#L2", "second", ""),
        ("e.txt", "plain\r\n", ""),
    ]
    assert [row["labels"] for row in documents][:2] == [["internal", "restricted"], ["internal"]]
    assert {row["licence"] for row in documents} == {"CC0-1.0"}
    assert json.loads(documents[3]["metadata"]) == {"id": 1}
    assert len({row["id"] for row in documents}) == 6
    assert result.outputs["documents"].labels == ("internal", "restricted")
    books = rows(result.outputs["documents"].directory, "books.parquet")
    assert {row["path"]: row["reason"] for row in books if row["disposition"] == "quarantined"} == {
        "blank.txt": "empty",
        "d.jsonl#L3": "not JSON",
        "empty.txt": "empty",
        "image.dat": "binary",
        "latin.txt": "undecodable",
    }
    assert sum(row["bytes"] for row in books) == sum(map(len, files_of(folder).values()))


def test_the_table_has_the_columns_that_others_read_and_is_compressed(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"a.txt": "some text\n"})
    result = run_step(INGEST, tmp_path / "made", {"path": str(folder)})
    file = pq.ParquetFile(result.outputs["documents"].directory / "documents-00000.parquet")
    columns = (
        "id path text bytes media_type language licence labels collected_at metadata "
        "owner uses retain_until source_start source_bytes pages"
    )
    assert file.schema_arrow.names == columns.split()
    group = file.metadata.row_group(0)
    assert {group.column(index).compression for index in range(group.num_columns)} == {"ZSTD"}


def test_the_source_holds_what_was_read_to_the_byte(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"a/x.txt": "x" * 100, "b.txt": "y\r\n", "bad.txt": b"\xff", "no.bin": b"\0"})
    source = ingest(folder, tmp_path).outputs["source"].directory
    held = {name: data for name, data in files_of(folder).items() if name != "no.bin"}
    assert files_of(source / "files") == held
    listing = [json.loads(line) for line in (source / "listing.jsonl").read_text().splitlines()]
    assert [(row["path"], row["bytes"], row["sha256"]) for row in listing] == [
        (name, len(data), sha256(data).hexdigest()) for name, data in sorted(held.items())
    ]


def test_whatever_lies_in_a_folder_is_accounted_for_and_nothing_hangs(tmp_path: Path) -> None:
    outside = write_files(tmp_path / "outside", {"secret.txt": "do not read me"})
    folder = write_files(tmp_path / "in", {"real.txt": "real text", "folder/inner.txt": "inner text"})
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to("loop")
    (folder / "up").symlink_to("..")
    (folder / "inside").symlink_to("folder")
    (folder / "gone").symlink_to("nowhere")
    (folder / "escape.txt").symlink_to(outside / "secret.txt")
    (folder / "linked.txt").symlink_to("folder/inner.txt")
    (folder / "folder" / "self").symlink_to("../folder")
    (folder / "new\nline.txt").write_text("odd name")
    Path(os.fsdecode(bytes(folder) + b"/caf\xe9.txt")).write_text("older name")
    Path(os.fsdecode(bytes(folder) + b"/" + b"\xe9" * 100 + b".txt")).write_text("long name")
    (folder / "big.txt").write_text("z" * 5000)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        result = ingest(folder, tmp_path, max_file_bytes=4096)
    books = rows(result.outputs["documents"].directory, "books.parquet")
    assert {row["path"]: row["reason"] for row in books if row["disposition"] == "quarantined"} == {
        "big.txt": "too large",
        "escape.txt": "symbolic link that leads outside",
        "fifo": "not a regular file",
        "folder/self": "symbolic link to a folder",
        "gone": "broken symbolic link",
        "inside": "symbolic link to a folder",
        "loop": "symbolic link in a loop",
        "socket": "not a regular file",
        "up": "symbolic link that leads outside",
    }
    kept = [row["path"] for row in books if row["disposition"] == "kept"]
    assert [path for path in kept if "~" not in path] == [
        r"caf\xe9.txt",
        "folder/inner.txt",
        "linked.txt",
        r"new\x0aline.txt",
        "real.txt",
    ]
    assert len(kept) == 6
    assert "do not read me" not in "".join(row["text"] for row in rows(result.outputs["documents"].directory))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_quarantined(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"ok.txt": "fine", "no.txt": "x", "closed/a.txt": "y"})
    (folder / "no.txt").chmod(0)
    (folder / "closed").chmod(0)
    try:
        result = ingest(folder, tmp_path)
    finally:
        (folder / "closed").chmod(0o700)
    books = rows(result.outputs["documents"].directory, "books.parquet")
    assert {row["path"]: row["reason"] for row in books} == {
        "ok.txt": "",
        "no.txt": "unreadable",
        "closed/": "unreadable",
    }


def test_a_file_that_became_something_else_since_the_scan_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("x")
    (tmp_path / "link").symlink_to("target")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo", "vanished"):
        assert isinstance(read_raw(Entry(name, str(tmp_path / name)), 100), UnreadFile)


def test_a_file_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    for size in (0, 1, 8191, 8192, 8193, 20_000):
        (tmp_path / "f").write_bytes(b"x" * size)
        raw = read_raw(Entry("f", str(tmp_path / "f")), 20_000)
        assert isinstance(raw, RawFile)
        assert raw.size == size
        if size:
            assert isinstance(read_raw(Entry("f", str(tmp_path / "f")), size - 1), UnreadFile)
    assert isinstance(read_raw(Entry("endless", "/dev/zero"), 100), UnreadFile)


contents = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=40).map(str.encode),
    st.lists(st.sampled_from([b'{"text": "a b c"}', b"{", b"", b'{"text": ""}', b"\xff"]), max_size=5).map(b"\n".join),
)
names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..")
)
extensions = st.sampled_from([".txt", ".jsonl", ".html", ".py", ".md", ""])


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.tuples(st.sampled_from(["", "d/", "d/e/"]), names, extensions), contents, max_size=8))
def test_the_books_balance_whatever_the_files_hold(files: dict[tuple[str, str, str], bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = write_files(Path(name) / "in", {"fixed.txt": "always here"})
        for (parent, stem, extension), content in files.items():
            path = folder / f"{parent}{stem}{extension}"
            if path.parent.is_dir() or not path.parent.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                if not path.is_dir():
                    path.write_bytes(content)
        result = ingest(folder, Path(name), exclude=["nothing-has-this-name"])  # requires the balance
        held = [path for path in folder.rglob("*") if path.is_file()]
        books = rows(result.outputs["documents"].directory, "books.parquet")
        assert {row["path"].partition("#L")[0] for row in books} >= {
            path_name(str(path.relative_to(folder))).partition("#L")[0] for path in held
        }
        assert sum(row["bytes"] for row in books) == sum(path.stat().st_size for path in held)
        kept = [row["id"] for row in books if row["disposition"] == "kept"]
        assert kept == [row["id"] for row in rows(result.outputs["documents"].directory)]
        assert result.outputs["source"].metadata["content"] == fingerprint(folder, exclude=("nothing-has-this-name",))


@given(
    st.lists(st.binary(min_size=1, max_size=255).filter(lambda name: not {0, 47} & {*name}), unique=True, max_size=5)
)
def test_different_files_have_different_names_that_can_be_written(components: list[bytes]) -> None:
    written = [path_name(os.fsdecode(component)) for component in components]
    assert len(set(written)) == len(components)
    for name in written:
        assert len(name.encode()) <= 255
        assert not any(character < " " for character in name)


def test_a_folder_too_deep_to_open_is_quarantined(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"top.txt": "text"})
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=descriptor)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    books = rows(ingest(folder, tmp_path).outputs["documents"].directory, "books.parquet")
    assert [row["reason"] for row in books] == ["path too long", ""]


def test_the_same_files_give_the_same_bytes_wherever_they_lie(tmp_path: Path) -> None:
    files = {f"{number}/{name}": f"{name} {number}" for number in range(3) for name in ("a.txt", "b.py", "ä.md")}
    first = write_files(tmp_path / "one", files)
    second = write_files(tmp_path / "two", dict(reversed(files.items())))
    for folder in (first, second):
        for path in folder.rglob("*.*"):
            os.utime(path, (1_700_000_000, 1_700_000_000))
    outputs = [ingest(folder, tmp_path / f"out-{folder.name}").outputs for folder in (first, second)]
    for role in ("source", "documents"):
        assert files_of(outputs[0][role].directory) == files_of(outputs[1][role].directory)
        assert outputs[0][role].metadata == outputs[1][role].metadata
    assert rows(outputs[0]["documents"].directory)[0]["collected_at"] == "2023-11-14T22:13:20.000000Z"


def test_the_fingerprint_follows_names_and_contents_and_nothing_else(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"a.txt": "one", "b.txt": "two", "c.bin": b"\0"})
    before = fingerprint(folder)
    os.utime(folder / "a.txt", (1, 1))
    folder = folder.rename(tmp_path / "moved")
    assert fingerprint(folder) == before
    seen = {before, fingerprint(folder, include=("a.txt",)), fingerprint(folder, max_file_bytes=2)}
    (folder / "b.txt").write_text("Two")
    seen.add(fingerprint(folder))
    (folder / "b.txt").rename(folder / "c.txt")
    seen.add(fingerprint(folder))
    assert len(seen) == 5


def test_several_places_are_told_apart_by_name(tmp_path: Path) -> None:
    write_files(tmp_path, {"one/x.txt": "first", "two/x.txt": "second", "three.txt": "third", "other/one/x.txt": "no"})
    result = ingest(tmp_path, tmp_path / "out", path=[str(tmp_path / name) for name in ("two", "three.txt", "one")])
    paths = [row["path"] for row in rows(result.outputs["documents"].directory)]
    assert paths == ["one/x.txt", "three.txt/three.txt", "two/x.txt"]
    with pytest.raises(UserError, match="same name 'one'"):
        ingest(tmp_path, tmp_path / "bad", path=[str(tmp_path / "one"), str(tmp_path / "other/one")])


def test_patterns_choose_the_files(tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "in", {name: name for name in ("a.py", "tests/b.py", "pkg/c.py", "pkg/d.txt", "pkg/.git/e.py")}
    )
    result = ingest(folder, tmp_path, include=["*.py"], exclude=["tests", ".git"])
    assert [row["path"] for row in rows(result.outputs["documents"].directory)] == ["a.py", "pkg/c.py"]


def test_a_workspace_in_the_folder_is_not_read(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"a.txt": "text"})
    before = fingerprint(folder, exclude=())
    write_files(folder, {".loresmith/ledger.db": "changes with every run"})
    assert fingerprint(folder, exclude=()) == before
    result = ingest(folder, tmp_path, exclude=[])
    assert [row["path"] for row in rows(result.outputs["documents"].directory)] == ["a.txt"]


def test_labels_stay_with_what_gave_no_document(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"a.txt": "text", "hr/broken.txt": b"\xff"})
    outputs = ingest(folder, tmp_path, label_rules={"hr/**": ["restricted"]}).outputs
    assert outputs["source"].labels == ("restricted",)
    assert outputs["documents"].labels == ()


def test_mistakes_are_explained(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"a.txt": "text", "b.bin": b"\0", "c.txt": ""})
    with pytest.raises(UserError, match="no file or folder"):
        ingest(tmp_path / "nowhere", tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError, match="1 symbolic link in a loop"):
        ingest(tmp_path / "loop", tmp_path / "out")
    with pytest.raises(UserError, match=r"no file in .* matches"):
        ingest(folder, tmp_path, include=["*.md"])
    with pytest.raises(UserError, match="1 binary, 1 empty"):
        ingest(folder, tmp_path / "none", include=["b.bin", "c.txt"])
    mistakes: list[dict[str, Any]] = [
        {"include": []},
        {"exclude": [""]},
        {"encodings": ["utf-9"]},
        {"label_rules": {"[z-a]": ["x"]}},
    ]
    for wrong in mistakes:
        with pytest.raises(ValidationError):
            IngestConfig.model_validate({"path": str(folder), **wrong})


def test_a_stop_is_obeyed(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {f"{number}.txt": "text" for number in range(200)})
    context = RecordingContext(tmp_path, stop_after=1)
    selection = Selection([folder], ["**"], [], 100)
    with pytest.raises(Interrupted):
        ingest_files(
            selection.files(),
            100,
            ReadingRules(),
            Rights(),
            context.output("source"),
            context.output("documents"),
            Workplace(tmp_path / "spool"),
            context,
        )
    assert context.progressed[-1][0] < 200
