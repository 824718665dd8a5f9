"""The files of a Git repository as of one commit, and if wanted its history, read from the objects themselves.

Nothing of the repository is run: no program, hook, filter or text conversion, and no remote is asked for what is
missing. A work tree and a bare repository are the same: what counts is what was committed.
"""

from __future__ import annotations

import io
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loresmith.data.git_sizes import Extent, extent_of
from loresmith.data.path_names import LONGEST_PATH, path_name
from loresmith.data.readers.record import Refused
from loresmith.errors import Failure, UserError

if TYPE_CHECKING:
    from dulwich.objects import Commit, TreeEntry
    from dulwich.repo import Repo

HISTORY = ".git/commits"
"""Below it are the commits, as files: no committed file can be called so."""

Shown = Callable[[str, bytes], bool]
"""Whether the history may show what a file held: its path, and its bytes at that time."""

_LARGEST_DIFF = 1 << 20  # bytes; of a longer one, the message alone is given
_LARGEST_BLOB_IN_DIFF = 1 << 18  # comparing lines takes more than linear time
_LONGEST_HEAD = 64
_SUBMODULE = 0o160000
_LFS = b"version https://git-lfs.github.com/spec/v1\n"
_DEEPEST = 200
_LARGEST_BASE = 1 << 28  # bytes; what a smaller file may be kept as a difference to

DAMAGED = "damaged"
"""Why a file is refused whose object is not there, or is not what its id says."""


@dataclass(frozen=True)
class GitFile:
    """A committed file, or a commit.

    Attributes:
        path: as `path_names` writes it.
        modified: when its commit was made, in seconds since 1970: of the newest commit for files, its own for commits.
        metadata: the `commit`, and for commits `author`, `date` and `parents`.
    """

    path: str
    data: bytes
    modified: float
    metadata: Mapping[str, Any] = field(default_factory=dict)


class _Entry(NamedTuple):
    """What a folder of a commit holds: its raw path, its mode, and the id of its object in hexadecimal digits."""

    path: bytes
    mode: int
    id: bytes


def read_repository(
    path: Path,
    revision: str = "HEAD",
    *,
    history: bool = False,
    shown: Shown = lambda _path, _data: True,
    max_bytes: int = sys.maxsize,
) -> Iterator[GitFile | Refused]:
    """The files of a commit, sorted by path; then, if wanted, it and all commits before it, newest first.

    Symbolic links, submodules, pointers of Git LFS, larger files, and those whose object is missing or damaged are
    refused by name, with the path as anchor. A commit's text is its message and what it changed against its first
    parent, as `git show` has it, or the message alone where that is more than 1 MiB; it says how many of the files that
    it changed are left out.

    Args:
        revision: a branch, a tag, or a commit id of at least 4 hexadecimal digits.
        shown: which files the texts of commits may show; the others are left out of them.
        max_bytes: a larger file is not read.

    Raises:
        UserError: there is no repository, or no such revision in it.
        Failure: a commit, a folder, or an object of the history is missing or damaged.
    """
    with _opened(path) as repository:
        commit = _commit(repository, revision, path)
        seen = float(commit.commit_time)
        metadata = {"commit": commit.id.decode("ascii"), "date": iso_time(seen)}
        for entry in _tree(repository, commit.tree):
            found = _file(repository, entry, max_bytes)
            yield found if isinstance(found, Refused) else GitFile(_called(entry), found, seen, metadata)
        if history:
            yield from _history(repository, commit, shown, max_bytes)


def _damage() -> tuple[type[Exception], ...]:
    import struct
    import zlib

    from dulwich.errors import ChecksumMismatch, FileFormatException, NotGitRepository, WrongObjectException

    ours = (ChecksumMismatch, FileFormatException, NotGitRepository, WrongObjectException)
    return (
        *ours,
        struct.error,
        KeyError,
        ValueError,
        AssertionError,
        IndexError,
        OSError,
        EOFError,
        zlib.error,
        RecursionError,
    )


def _open(path: Path) -> Repo:
    from dulwich.errors import NotGitRepository
    from dulwich.repo import Repo

    try:
        return Repo(str(path))
    except NotGitRepository:
        pass
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"this is no Git repository that can be read: {error}", where=str(path)) from None
    raise UserError("this is no Git repository", where=str(path), hint="name a work tree or a bare repository")


@contextmanager
def _opened(path: Path) -> Iterator[Repo]:
    """A repository; raises Failure for what is damaged in it."""
    repository = _open(path)
    try:
        yield repository
    except _damage() as error:
        said = " ".join(map(str, error.args)) or type(error).__name__
        hint = "`git fsck --full` there names what is missing or damaged"
        raise Failure(f"the repository is damaged or incomplete: {said}", where=str(path), hint=hint) from None
    finally:
        repository.close()


def commit_id(path: Path, revision: str = "HEAD") -> str:
    """The id of the commit that a revision means, in hexadecimal digits; raises as `read_repository`."""
    with _opened(path) as repository:
        return _commit(repository, revision, path).id.decode("ascii")


def read_history(path: Path, revision: str = "HEAD") -> Iterator[dict[str, Any]]:
    """The commit that a revision means and all before it, newest first: `commit`, `time` and `parents`.

    Raises as `read_repository`.
    """
    with _opened(path) as repository:
        newest = _commit(repository, revision, path)
        for entry in repository.get_walker(include=[newest.id]):
            parents = [parent.decode("ascii") for parent in entry.commit.parents]
            time = float(entry.commit.commit_time)
            yield {"commit": entry.commit.id.decode("ascii"), "time": time, "parents": parents}


def _commit(repository: Repo, revision: str, path: Path) -> Commit:
    from dulwich.objectspec import parse_commit

    try:
        return parse_commit(repository, revision.encode())
    except (KeyError, ValueError, AssertionError):
        names = sorted(name.decode("utf-8", "replace").split("/", 2)[-1] for name in repository.get_refs())
        if revision in names:
            raise ValueError(f"{revision} leads to no commit that can be read") from None
        some = f"; there are {', '.join(names[:12])}" if names else "; it has no commits"
        raise UserError(f"no revision {revision!r}{some}", where=str(path)) from None


def _tree(repository: Repo, tree: bytes, prefix: bytes = b"", depth: int = 0) -> Iterator[_Entry]:
    if depth > _DEEPEST:
        raise ValueError(f"folders more than {_DEEPEST} deep")
    entries = repository[tree].items()  # type: ignore[attr-defined]
    for entry in sorted(entries, key=lambda entry: entry.path + (b"/" if stat.S_ISDIR(entry.mode) else b"")):
        if entry.path in (b"", b".", b"..") or b"/" in entry.path:
            raise ValueError(f"a file called {entry.path!r}")
        if stat.S_ISDIR(entry.mode):
            yield from _tree(repository, entry.sha, prefix + entry.path + b"/", depth + 1)
        else:
            yield _Entry(prefix + entry.path, entry.mode, entry.sha)


def _called(entry: _Entry) -> str:
    return path_name(entry.path.decode("utf-8", "surrogateescape"))


def _file(repository: Repo, entry: _Entry, max_bytes: int) -> bytes | Refused:
    """A file's bytes, or why it is not read."""
    called = _called(entry)
    if len(called.encode()) > LONGEST_PATH:
        return Refused("path too long", f"more than {LONGEST_PATH} bytes", 0, called[:LONGEST_PATH])
    if stat.S_ISLNK(entry.mode):
        return Refused("not a regular file", "a symbolic link", 0, called)
    if stat.S_IFMT(entry.mode) == _SUBMODULE:
        return Refused("not a regular file", "a submodule", 0, called)
    try:
        extent = extent_of(repository.object_store, entry.id)
        if extent.size > max_bytes:
            return Refused("too large", f"{extent.size} bytes; max_file_bytes is {max_bytes}", extent.size, called)
        if not _is_bearable(extent, max_bytes):
            detail = f"it is kept as a difference to {extent.needed} bytes"
            return Refused("needed too much memory", detail, extent.size, called)
        store = repository.object_store
        store.loose_object_size_limit = max(store.loose_object_size_limit, extent.size + _LONGEST_HEAD)
        data = bytes(repository[entry.id].as_raw_string())
    except _damage() as error:
        why = "is not there" if isinstance(error, KeyError) else f"cannot be read ({type(error).__name__})"
        return Refused(DAMAGED, f"its object {entry.id.decode('ascii', 'replace')} {why}", 0, called)
    if data.startswith(_LFS) and len(data) < 1024:
        return Refused("kept elsewhere", "a pointer of Git LFS", len(data), called)
    return data


def _is_bearable(extent: Extent, max_bytes: int) -> bool:
    """Whether an object may be held in memory, with what it is kept as a difference to."""
    return extent.size <= max_bytes and extent.needed <= max(max_bytes, _LARGEST_BASE)


def damaged_files(path: Path, revision: str, max_bytes: int, sound: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """The files of a commit that are not known to be sound: the path of each, empty if it turns out to be, and its id.

    Args:
        sound: whether the object of an id was found sound before.

    Raises as `read_repository`.
    """
    with _opened(path) as repository:
        for entry in _tree(repository, _commit(repository, revision, path).tree):
            if not sound(id_ := entry.id.decode("ascii", "replace")):
                found = _file(repository, entry, max_bytes)
                yield (_called(entry) if isinstance(found, Refused) and found.reason == DAMAGED else ""), id_


def _history(repository: Repo, newest: Commit, shown: Shown, max_bytes: int) -> Iterator[GitFile]:
    for entry in repository.get_walker(include=[newest.id]):
        commit = entry.commit
        head = {
            "commit": commit.id.decode("ascii"),
            "author": commit.author.decode("utf-8", "replace"),
            "date": iso_time(commit.author_time),
            "parents": [parent.decode("ascii") for parent in commit.parents],
        }
        diff, left_out, nothing_shown = _diff(repository, commit, shown, max_bytes)
        message = commit.message.decode("utf-8", "replace").rstrip("\n")
        if nothing_shown:
            message = "(The message is left out: it speaks of files that are.)"
        lines = f"commit {head['commit']}\nAuthor: {head['author']}\nDate: {head['date']}\n"
        lines += f"Files left out: {left_out}\n\n{message}\n" if left_out else f"\n{message}\n"
        data = lines.encode() + (b"\n" + diff if diff else b"")
        yield GitFile(f"{HISTORY}/{head['commit']}.diff", data, float(commit.commit_time), head)


def _diff(repository: Repo, commit: Commit, shown: Shown, max_bytes: int) -> tuple[bytes, int, bool]:
    """What a commit changed against its first parent, empty if that is too much; how many files are left out; and
    whether it changed nothing but what may not be shown."""
    from dulwich.diff_tree import tree_changes
    from dulwich.patch import write_object_diff

    before = repository[commit.parents[0]].tree if commit.parents else None  # type: ignore[attr-defined]
    written = io.BytesIO()
    left_out = hidden = 0
    changes = list(tree_changes(repository.object_store, before, commit.tree))
    for change in changes:
        there = [one for one in (change.old, change.new) if one]
        may_be_shown = all(_may_be_shown(repository, one, shown, max_bytes) for one in there)
        hidden += not may_be_shown
        if not may_be_shown or not all(_fits(repository, one) for one in there):
            left_out += 1
            continue
        old, new = ((one.path, one.mode, one.sha) if one else (None, None, None) for one in (change.old, change.new))
        write_object_diff(written, repository.object_store, old, new)
        if written.tell() > _LARGEST_DIFF:
            return b"", len(changes), False
    return written.getvalue(), left_out, bool(changes) and hidden == len(changes)


def _may_be_shown(repository: Repo, entry: TreeEntry, shown: Shown, max_bytes: int) -> bool:
    path = path_name((entry.path or b"").decode("utf-8", "surrogateescape"))
    id_ = entry.sha or b""
    # One that is too large was never read, so nobody has asked that what it says goes.
    held = not _is_submodule(entry) and _is_bearable(extent_of(repository.object_store, id_), max_bytes)
    return shown(path, bytes(repository[id_].as_raw_string()) if held else b"")


def _fits(repository: Repo, entry: TreeEntry) -> bool:
    """Whether it is a file that is small enough to be shown."""
    if _is_submodule(entry):
        return False
    return _is_bearable(extent_of(repository.object_store, entry.sha or b""), _LARGEST_BLOB_IN_DIFF)


def _is_submodule(entry: TreeEntry) -> bool:
    return stat.S_IFMT(entry.mode or 0) == _SUBMODULE


def iso_time(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
