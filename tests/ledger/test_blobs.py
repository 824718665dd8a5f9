"""A blob is written once, whole or not at all, and read as it was written, wherever the store is."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loresmith.errors import Failure, UserError
from loresmith.ledger.blobs import BlobStore, open_blobs
from loresmith.ledger.local_blobs import LocalBlobs
from loresmith.ledger.reflink import reflink
from tests.ledger.processes import Child, together

ABSENT = "0" * 64


@pytest.fixture(params=["folder", "memory", "file-url"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    addresses: dict[str, str | Path] = {
        "folder": tmp_path / "blobs",
        "memory": f"memory://{tmp_path}",
        "file-url": f"file://{tmp_path}/blobs",
    }
    return open_blobs(addresses[request.param])


@pytest.fixture
def local(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


def where(store: LocalBlobs, digest: str) -> Path:
    return store.root / "sha256" / digest[:2] / digest


def damage(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(st.binary(max_size=100))
def test_what_is_put_is_read(blobs: BlobStore, tmp_path: Path, data: bytes) -> None:
    digest = blobs.put_bytes(data)
    assert digest == hashlib.sha256(data).hexdigest()
    file = tmp_path / "file"
    file.write_bytes(data)
    assert blobs.put_file(file) == digest
    assert file.exists()
    assert blobs.read(digest) == data
    with blobs.open(digest) as opened:
        assert opened.read() == data
    assert blobs.exists(digest)
    assert blobs.size(digest) == len(data)
    blobs.verify(digest)


def test_many_files_are_put_in_their_order(blobs: BlobStore, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.txt" for number in range(520)]
    for number, path in enumerate(paths):
        path.write_text(str(number % 516))
    digests = blobs.put_files(paths)
    assert [blobs.read(digest).decode() for digest in digests] == [str(number % 516) for number in range(520)]


def test_what_is_not_there_is_named(blobs: BlobStore, tmp_path: Path) -> None:
    assert not blobs.exists(ABSENT)
    asked: list[Callable[[], object]] = [
        lambda: blobs.open(ABSENT),
        lambda: blobs.read(ABSENT),
        lambda: blobs.size(ABSENT),
        lambda: blobs.verify(ABSENT),
        lambda: blobs.place(ABSENT, tmp_path / "target"),
    ]
    for ask in asked:
        with pytest.raises(Failure, match=f"{ABSENT} is missing"):
            ask()
    assert not (tmp_path / "target").exists()


def test_what_is_not_a_digest_cannot_leave_the_store(blobs: BlobStore) -> None:
    for name in ("../../etc/passwd", "A" * 64, "", "0" * 63):
        with pytest.raises(UserError, match="not a digest"):
            blobs.read(name)


def test_a_moved_file_is_gone(blobs: BlobStore, tmp_path: Path) -> None:
    file = tmp_path / "file"
    for _again in range(2):
        file.write_text("x")
        digest = blobs.put_file(file, move=True)
        assert not file.exists()
        assert blobs.read(digest) == b"x"


def test_a_placed_copy_is_the_callers_own(blobs: BlobStore, tmp_path: Path) -> None:
    digest = blobs.put_bytes(b"as it was")
    target = tmp_path / "target"
    blobs.place(digest, target, "copy")
    target.write_bytes(b"changed")
    assert blobs.read(digest) == b"as it was"
    with pytest.raises(Failure):
        blobs.place(digest, target, "copy")
    assert target.read_bytes() == b"changed"


def test_a_placed_link_is_read_only(blobs: BlobStore, tmp_path: Path) -> None:
    digest = blobs.put_bytes(b"as it was")
    blobs.place(digest, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"as it was"
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == 0o444


def test_identical_files_are_stored_once_and_read_only(local: LocalBlobs, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("same")
    (digest,) = {*local.put_files([tmp_path / "a", tmp_path / "b"]), local.put_bytes(b"same")}
    stored = [path for path in local.root.rglob("*") if path.is_file()]
    assert stored == [where(local, digest)]
    assert stat.S_IMODE(stored[0].stat().st_mode) == 0o444


def test_a_move_takes_the_very_file(local: LocalBlobs, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x" * 1000)
    inode = file.stat().st_ino
    assert where(local, local.put_file(file, move=True)).stat().st_ino == inode


def test_a_file_that_somebody_else_can_write_through_another_name_is_copied(local: LocalBlobs, tmp_path: Path) -> None:
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_text("as it was")
    os.link(file, other)
    digest = local.put_file(file, move=True)
    other.write_text("changed")
    assert local.read(digest) == b"as it was"


@pytest.mark.parametrize("data", [b"another", b"", b"as it waz"])
def test_damage_is_found_and_healed(local: LocalBlobs, data: bytes) -> None:
    digest = local.put_bytes(b"as it was")
    damage(where(local, digest), data)
    for read in (local.read, local.verify):
        with pytest.raises(Failure, match=f"{digest} is damaged"):
            read(digest)
    assert local.put_bytes(b"as it was") == digest
    local.verify(digest)


def test_what_a_killed_writer_left_is_removed_and_nothing_else(local: LocalBlobs, tmp_path: Path) -> None:
    def wait_in_the_middle() -> None:
        with local._staging() as staged:
            staged["x"] = local._temporary()
            staged["x"].write_bytes(b"half")
            time.sleep(60)

    writers = [Child(wait_in_the_middle) for _ in range(2)]
    incoming = local.root / "incoming"
    deadline = time.monotonic() + 30
    while not incoming.is_dir() or len(list(incoming.iterdir())) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    writers[0].kill()
    elsewhere = incoming / "1-1-abc@another-machine"
    forgotten = incoming / "what is this"
    for path in (elsewhere, forgotten):
        path.write_bytes(b"half")
    digest = LocalBlobs(local.root).put_bytes(b"whole")
    left = list(incoming.iterdir())
    assert elsewhere in left
    assert [path.name.partition("-")[0] for path in left if path != elsewhere and path != forgotten] == [
        str(writers[1].pid)
    ]
    writers[1].kill()
    local.verify(digest)


def test_a_reflink_is_the_same_file_or_none(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"as it was")
    if reflink(source, target):
        target.write_bytes(b"changed")
        assert source.read_bytes() == b"as it was"
    else:
        assert not target.exists()
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        reflink(source, target)
    assert target.read_bytes() == b"mine"


def test_many_writers_of_the_same_blob_agree(tmp_path: Path) -> None:
    def put(number: int) -> list[str]:
        store = LocalBlobs(tmp_path / "blobs")
        (tmp_path / f"{number}").write_text("shared")
        return [store.put_bytes(b"x" * 100_000), store.put_file(tmp_path / f"{number}", move=True)]

    found = together(put, [(number,) for number in range(6)])
    assert all(digests == found[0] for digests in found)
    store = LocalBlobs(tmp_path / "blobs")
    for digest in found[0]:
        store.verify(digest)
    assert list((store.root / "incoming").iterdir()) == []


def test_an_address_that_nothing_knows_is_refused() -> None:
    with pytest.raises(UserError, match="cannot be kept there"):
        open_blobs("gopher://host/blobs")


def test_a_failed_upload_leaves_no_blob(tmp_path: Path) -> None:
    store = open_blobs(f"memory://{tmp_path}")
    file = tmp_path / "file"
    file.write_bytes(b"x" * 10)
    digest = hashlib.sha256(b"x" * 10).hexdigest()
    with pytest.raises(Failure):
        store.put_file(tmp_path)
    file.unlink()
    with pytest.raises(Failure):
        store.put_file(file)
    assert not store.exists(digest)
