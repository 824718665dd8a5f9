"""Objects of a Git repository that are too large, damaged or missing cost one file, and neither memory nor the step."""

from __future__ import annotations

import hashlib
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dulwich.object_store import DiskObjectStore
from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.pack import write_pack
from dulwich.repo import Repo

from loresmith.data.git_sizes import extent_of
from loresmith.data.steps import INGEST_GIT, IngestGitConfig
from loresmith.errors import Failure
from tests.data.tables import rows
from tests.step_context import run_step

GOOD = b"A good text of the pump, which anybody may read.\n"


def write_loose(store: Path, pieces: Iterator[bytes], size: int) -> bytes:
    """A blob that is never in memory as a whole; returns its id."""
    head = b"blob %d\0" % size
    digest, packed = hashlib.sha1(head, usedforsecurity=False), zlib.compressobj(1)
    parts = [packed.compress(head)]
    for piece in pieces:
        digest.update(piece)
        parts.append(packed.compress(piece))
    name = digest.hexdigest()
    (store / name[:2]).mkdir(exist_ok=True)
    (store / name[:2] / name[2:]).write_bytes(b"".join([*parts, packed.flush()]))
    return name.encode()


def commit_blobs(repository: Repo, blobs: dict[str, bytes]) -> None:
    """A commit of files, by the ids of their objects."""
    tree, commit = Tree(), Commit()
    for name, id_ in blobs.items():
        tree.add(name.encode(), 0o100644, ObjectID(id_))
    commit.tree, commit.message = tree.id, b"Begin"
    commit.author = commit.committer = b"Ada <ada@example.org>"
    commit.author_time = commit.commit_time = 1_700_000_000
    commit.author_timezone = commit.commit_timezone = 0
    repository.object_store.add_object(tree)
    repository.object_store.add_object(commit)
    repository.refs[b"HEAD"] = commit.id


def books(folder: Path, **config: Any) -> dict[str, tuple[str, str]]:
    made = run_step(INGEST_GIT, folder, config).outputs["documents"].directory
    return {row["path"]: (row["disposition"], row["reason"]) for row in rows(made, "books.parquet")}


def test_a_large_object_is_refused_by_its_first_bytes(tmp_path: Path) -> None:
    size, piece = 96 << 20, bytes(1 << 20)
    with Repo.init(str(tmp_path / "repo"), mkdir=True) as repository:
        store = tmp_path / "repo" / ".git" / "objects"
        large = write_loose(store, (piece for _ in range(size >> 20)), size)
        small = write_loose(store, iter([GOOD]), len(GOOD))
        commit_blobs(repository, {"large.txt": large, "small.txt": small})
    tracemalloc.start()
    found = books(tmp_path, path=str(tmp_path / "repo"), max_file_bytes=1 << 20, history=True, include=["*.txt"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < size // 2
    assert found["large.txt"] == ("quarantined", "too large")
    assert found["small.txt"] == ("kept", "")


def test_the_first_bytes_of_an_object_tell_its_size_however_it_is_kept(tmp_path: Path) -> None:
    texts = [b"".join(b"line %d of %d\n" % (line, version) for line in range(400)) for version in (1, 1, 2)]
    texts[1] += b"one line more\n" * 9
    blobs = [Blob.from_string(text) for text in (*texts, b"", b"x" * 15, b"y" * 16, GOOD)]
    with (
        Repo.init(str(tmp_path / "loose"), mkdir=True) as loose,
        Repo.init(str(tmp_path / "packed"), mkdir=True) as packed,
    ):
        for blob in blobs:
            loose.object_store.add_object(blob)
        inside = tmp_path / "packed" / ".git" / "objects" / "pack" / "pack-one"
        write_pack(str(inside), [(blob, None) for blob in blobs], packed.object_format, deltify=True)
        assert any(entry.delta_base is not None for entry in next(iter(packed.object_store.packs)).data.iter_unpacked())
        for repository in (loose, packed):
            store = repository.object_store
            assert isinstance(store, DiskObjectStore)
            extents = [extent_of(store, blob.id) for blob in blobs]
            assert [extent.size for extent in extents] == [len(blob.data) for blob in blobs]
            assert all(extent.size <= extent.needed <= max(map(len, texts)) for extent in extents)
        with pytest.raises(KeyError):
            extent_of(store, b"0" * 40)


@pytest.mark.parametrize("harm", [b"", b"no object", None])
def test_an_object_that_is_damaged_costs_its_file_until_it_is_mended(tmp_path: Path, harm: bytes | None) -> None:
    with Repo.init(str(tmp_path / "repo"), mkdir=True) as repository:
        store = tmp_path / "repo" / ".git" / "objects"
        ids = {f"{name}.txt": write_loose(store, iter([GOOD + name.encode()]), len(GOOD) + 1) for name in "abc"}
        commit_blobs(repository, ids)
    settings = {"path": str(tmp_path / "repo")}
    sound = fingerprint(tmp_path, **settings)
    name = ids["b.txt"].decode()
    kept = store / name[:2] / name[2:]
    data = kept.read_bytes()
    if harm is None:
        kept.unlink()
    else:
        kept.write_bytes(harm)
    assert books(tmp_path, **settings) == {
        "a.txt": ("kept", ""),
        "b.txt": ("quarantined", "damaged"),
        "c.txt": ("kept", ""),
    }
    assert fingerprint(tmp_path, **settings) != sound, "it is not on record as what the whole commit gives"
    kept.write_bytes(data)
    assert fingerprint(tmp_path, **settings) == sound


def fingerprint(folder: Path, **config: Any) -> str:
    assert INGEST_GIT.fingerprint is not None
    return INGEST_GIT.fingerprint(IngestGitConfig(**config), cache=folder / "cache")


@pytest.mark.parametrize("what", ["loose", "pack", "idx"])
@pytest.mark.parametrize("left", [None, 0, 2, 40, -30])
def test_a_repository_without_its_commit_is_called_damaged(tmp_path: Path, left: int | None, what: str) -> None:
    with Repo.init(str(tmp_path / "repo"), mkdir=True) as repository:
        blob = write_loose(tmp_path / "repo" / ".git" / "objects", iter([GOOD]), len(GOOD))
        commit_blobs(repository, {"a.txt": blob})
        if what != "loose":
            repository.object_store.pack_loose_objects()
        newest = repository.head().decode()
    store = tmp_path / "repo" / ".git" / "objects"
    kept = store / newest[:2] / newest[2:] if what == "loose" else next((store / "pack").glob(f"*.{what}"))
    data = kept.read_bytes()
    kept.chmod(0o600)
    if left is None:
        kept.unlink()
    else:
        kept.write_bytes(data[:left] if len(data) > abs(left) else data[: len(data) // 2])
    with pytest.raises(Failure, match="damaged or incomplete") as caught:
        fingerprint(tmp_path, path=str(tmp_path / "repo"))
    assert "git fsck" in (caught.value.hint or "")
