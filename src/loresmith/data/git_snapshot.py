"""A commit as `ingest-git` keeps it in its `source` asset, so that it can be read again without the repository.

The files that were read, and the texts of commits, are there as in any such asset. `repository.json` has what only the
repository knew: which commit it was, when it was made, and of its history the order, the times and the parents. What
was not read is named in the books beside the documents.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from loresmith.data.document_row import document_id
from loresmith.data.git_source import (
    DAMAGED,
    HISTORY,
    GitFile,
    Shown,
    commit_id,
    damaged_files,
    iso_time,
    read_history,
    read_repository,
)
from loresmith.data.path_names import raw_path
from loresmith.data.readers.record import Refused
from loresmith.data.reading.memory import Known, KnownFiles
from loresmith.errors import UserError

REPOSITORY = "repository.json"


def read_commit(
    path: Path,
    revision: str,
    max_bytes: int,
    *,
    history: bool = False,
    shown: Shown = lambda _path, _data: True,
) -> Iterator[GitFile | Refused]:
    """As `git_source.read_repository`, of a repository or of what `restore` laid out, whose texts of commits are those
    that were kept."""
    if not _is_laid_out(path):
        return read_repository(path, revision, history=history, shown=shown, max_bytes=max_bytes)
    return _read_again(path, history)


def commit_of(path: Path, revision: str) -> str:
    """As `git_source.commit_id`, of a repository or of what `restore` laid out."""
    return str(_described(path)["commit"]) if _is_laid_out(path) else commit_id(path, revision)


def commit_fingerprint(path: Path, revision: str, max_bytes: int, cache: Path | None) -> str:
    """The digest of a commit, and of what cannot be read of it: where that is mended, there is more to read.

    Args:
        max_bytes: of a larger file only the size is looked at.
        cache: a folder in which it is remembered which objects are sound; each is read once.
    """
    commit = commit_of(path, revision)
    if _is_laid_out(path):
        damaged = sorted(name for name, refused in _refused(path / "documents").items() if refused.reason == DAMAGED)
    else:
        damaged = []
        with KnownFiles(cache) as known:
            place = _remembered_under(path)
            sound = Known("", "", "", 0)
            for name, id_ in damaged_files(
                path, revision, max_bytes, lambda id_: known.find(f"{place}{id_}", str(max_bytes)) is not None
            ):
                if name:
                    damaged.append(name)
                else:
                    known.keep(f"{place}{id_}", str(max_bytes), sound)
    return hashlib.sha256((json.dumps([commit, sorted(damaged)]) if damaged else commit).encode()).hexdigest()


def doubt(path: Path, cache: Path) -> None:
    """Remember no more which objects of a repository are sound."""
    with KnownFiles(cache) as known:
        known.forget(_remembered_under(path))


def _remembered_under(path: Path) -> str:
    return f"{os.path.realpath(path)}/.git objects/"


def describe(path: Path, revision: str, *, history: bool) -> dict[str, Any]:
    """What `repository.json` is to say."""
    if _is_laid_out(path):
        return dict(_described(path))
    commits = read_history(path, revision)
    newest = next(commits)
    past = [newest, *commits] if history else []
    return {"commit": newest["commit"], "time": newest["time"], "history": past}


def restore(source: Path, documents: Path, folder: Path) -> Path:
    """Lay out what `ingest-git` read, for `read_commit`.

    Args:
        source, documents: what it made.
        folder: an empty folder.

    Raises:
        UserError: the snapshot does not hold all of it.
    """
    if not (source / REPOSITORY).is_file():
        raise UserError(
            f"it was made before snapshots of Git had {REPOSITORY}",
            hint="keep the repository, or run the recipe again",
        )
    erased = pq.read_table(documents / "books.parquet", columns=["path"], filters=[("reason", "==", "erased")])
    if len(erased):
        raise UserError("something of it was erased from this workspace", where=str(erased["path"][0]))
    (folder / "source").symlink_to(source, target_is_directory=True)
    (folder / "documents").symlink_to(documents, target_is_directory=True)
    return folder


def _is_laid_out(path: Path) -> bool:
    return (path / "source" / REPOSITORY).is_file()


def _described(path: Path) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads((path / "source" / REPOSITORY).read_text(encoding="utf-8"))
    return found


def _read_again(path: Path, history: bool) -> Iterator[GitFile | Refused]:
    described = _described(path)
    with (path / "source" / "listing.jsonl").open(encoding="utf-8") as listing:
        read = {row["path"] for row in map(json.loads, listing)}
    refused = _refused(path / "documents")
    committed = [name for name in read | refused.keys() if not name.startswith(f"{HISTORY}/")]
    of_all = {"commit": described["commit"], "date": iso_time(described["time"])}
    for name in sorted(committed, key=lambda name: raw_path(name).encode("utf-8", "surrogateescape")):
        if name in refused:
            yield refused[name]
        else:
            yield GitFile(name, (path / "source" / "files" / name).read_bytes(), described["time"], of_all)
    for commit in described["history"] if history else ():
        name = f"{HISTORY}/{commit['commit']}.diff"
        if name in refused:
            yield refused[name]
        elif name in read:
            data = (path / "source" / "files" / name).read_bytes()
            yield GitFile(name, data, commit["time"], _head(data, commit))


def _refused(documents: Path) -> dict[str, Refused]:
    """What was not read, from the books: it has no digest, and so another id than a file that was."""
    columns = ["id", "path", "reason", "detail", "bytes"]
    rows = pq.read_table(documents / "books.parquet", columns=columns).to_pylist()
    return {
        row["path"]: Refused(row["reason"], row["detail"], row["bytes"], row["path"])
        for row in rows
        if row["id"] == document_id(row["path"], "")
    }


def _head(data: bytes, commit: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of a commit, from the first lines of its text."""
    _, author, date, _ = data.decode().split("\n", 3)
    said = {"author": author.removeprefix("Author: "), "date": date.removeprefix("Date: ")}
    return {"commit": commit["commit"], **said, "parents": commit["parents"]}
