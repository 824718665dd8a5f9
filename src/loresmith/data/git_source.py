"""The files of a Git repository as of one commit, and if wanted its history, read from the objects themselves.

Nothing of the repository is run: no program, hook, filter or text conversion, and no remote is asked for what is
missing. A work tree and a bare repository are the same: what counts is what was committed.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
_LFS = b"version https://git-lfs.github.com/spec/v1\n"
_DEEPEST = 200


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


def read_repository(
    path: Path, revision: str = "HEAD", *, history: bool = False, shown: Shown = lambda _path, _data: True
) -> Iterator[GitFile | Refused]:
    """The files of a commit, sorted by path; then, if wanted, it and all commits before it, newest first.

    Symbolic links, submodules and pointers of Git LFS are refused by name, with the path as anchor. A commit's text is
    its message and what it changed against its first parent, as `git show` has it, or the message alone where that is
    more than 1 MiB; it says how many of the files that it changed are left out.

    Args:
        revision: a branch, a tag, or a commit id of at least 4 hexadecimal digits.
        shown: which files the texts of commits may show; the others are left out of them.

    Raises:
        UserError: there is no repository, or no such revision in it.
        Failure: an object is missing or damaged.
    """
    repository = _open(path)
    try:
        commit = _commit(repository, revision, path)
        seen = float(commit.commit_time)
        metadata = {"commit": commit.id.decode("ascii"), "date": iso_time(seen)}
        for name, mode, object_id in _tree(repository, commit.tree):
            called = path_name(name.decode("utf-8", "surrogateescape"))
            if len(called.encode()) > LONGEST_PATH:
                yield Refused("path too long", f"more than {LONGEST_PATH} bytes", 0, called[:LONGEST_PATH])
                continue
            found = _file(repository, mode, object_id)
            if isinstance(found, str):
                yield Refused("not a regular file", found, 0, called)
            elif found.startswith(_LFS) and len(found) < 1024:
                yield Refused("kept elsewhere", "a pointer of Git LFS", len(found), called)
            else:
                yield GitFile(called, found, seen, metadata)
        if history:
            yield from _history(repository, commit, shown)
    except _damage() as error:
        said = " ".join(map(str, error.args)) or type(error).__name__
        raise Failure(f"the repository is damaged or incomplete: {said}", where=str(path)) from None
    finally:
        repository.close()


def _damage() -> tuple[type[Exception], ...]:
    import zlib

    from dulwich.errors import ChecksumMismatch, FileFormatException, NotGitRepository, WrongObjectException

    ours = (ChecksumMismatch, FileFormatException, NotGitRepository, WrongObjectException)
    return (*ours, KeyError, ValueError, AssertionError, IndexError, OSError, EOFError, zlib.error, RecursionError)


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


def commit_id(path: Path, revision: str = "HEAD") -> str:
    """The id of the commit that a revision means, in hexadecimal digits; raises as `read_repository`."""
    return _commit(_open(path), revision, path).id.decode("ascii")


def read_history(path: Path, revision: str = "HEAD") -> Iterator[dict[str, Any]]:
    """The commit that a revision means and all before it, newest first: `commit`, `time` and `parents`.

    Raises as `read_repository`.
    """
    repository = _open(path)
    try:
        newest = _commit(repository, revision, path)
        for entry in repository.get_walker(include=[newest.id]):
            parents = [parent.decode("ascii") for parent in entry.commit.parents]
            time = float(entry.commit.commit_time)
            yield {"commit": entry.commit.id.decode("ascii"), "time": time, "parents": parents}
    except _damage() as error:
        said = " ".join(map(str, error.args)) or type(error).__name__
        raise Failure(f"the repository is damaged or incomplete: {said}", where=str(path)) from None
    finally:
        repository.close()


def _commit(repository: Repo, revision: str, path: Path) -> Commit:
    from dulwich.objectspec import parse_commit

    try:
        return parse_commit(repository, revision.encode())
    except (KeyError, ValueError, AssertionError):
        names = sorted(name.decode("utf-8", "replace").split("/", 2)[-1] for name in repository.get_refs())
        some = f"; there are {', '.join(names[:12])}" if names else "; it has no commits"
        raise UserError(f"no revision {revision!r}{some}", where=str(path)) from None


def _tree(repository: Repo, tree: bytes, prefix: bytes = b"", depth: int = 0) -> Iterator[tuple[bytes, int, bytes]]:
    if depth > _DEEPEST:
        raise ValueError(f"folders more than {_DEEPEST} deep")
    entries = repository[tree].items()  # type: ignore[attr-defined]
    for entry in sorted(entries, key=lambda entry: entry.path + (b"/" if stat.S_ISDIR(entry.mode) else b"")):
        if entry.path in (b"", b".", b"..") or b"/" in entry.path:
            raise ValueError(f"a file called {entry.path!r}")
        if stat.S_ISDIR(entry.mode):
            yield from _tree(repository, entry.sha, prefix + entry.path + b"/", depth + 1)
        else:
            yield prefix + entry.path, entry.mode, entry.sha


def _file(repository: Repo, mode: int, object_id: bytes) -> bytes | str:
    """A file's bytes, or what else it is."""
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_IFMT(mode) == 0o160000:
        return "a submodule"
    return bytes(repository[object_id].as_raw_string())


def _history(repository: Repo, newest: Commit, shown: Shown) -> Iterator[GitFile]:
    for entry in repository.get_walker(include=[newest.id]):
        commit = entry.commit
        head = {
            "commit": commit.id.decode("ascii"),
            "author": commit.author.decode("utf-8", "replace"),
            "date": iso_time(commit.author_time),
            "parents": [parent.decode("ascii") for parent in commit.parents],
        }
        diff, left_out, nothing_shown = _diff(repository, commit, shown)
        message = commit.message.decode("utf-8", "replace").rstrip("\n")
        if nothing_shown:
            message = "(The message is left out: it speaks of files that are.)"
        lines = f"commit {head['commit']}\nAuthor: {head['author']}\nDate: {head['date']}\n"
        lines += f"Files left out: {left_out}\n\n{message}\n" if left_out else f"\n{message}\n"
        data = lines.encode() + (b"\n" + diff if diff else b"")
        yield GitFile(f"{HISTORY}/{head['commit']}.diff", data, float(commit.commit_time), head)


def _diff(repository: Repo, commit: Commit, shown: Shown) -> tuple[bytes, int, bool]:
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
        may_be_shown = all(_may_be_shown(repository, one, shown) for one in there)
        hidden += not may_be_shown
        if not may_be_shown or not all(_fits(repository, one) for one in there):
            left_out += 1
            continue
        old, new = ((one.path, one.mode, one.sha) if one else (None, None, None) for one in (change.old, change.new))
        write_object_diff(written, repository.object_store, old, new)
        if written.tell() > _LARGEST_DIFF:
            return b"", len(changes), False
    return written.getvalue(), left_out, bool(changes) and hidden == len(changes)


def _may_be_shown(repository: Repo, entry: TreeEntry, shown: Shown) -> bool:
    path = path_name((entry.path or b"").decode("utf-8", "surrogateescape"))
    return shown(path, b"" if _is_submodule(entry) else bytes(repository[entry.sha or b""].as_raw_string()))


def _fits(repository: Repo, entry: TreeEntry) -> bool:
    """Whether it is a file that is small enough to be shown."""
    return not _is_submodule(entry) and repository[entry.sha or b""].raw_length() <= _LARGEST_BLOB_IN_DIFF


def _is_submodule(entry: TreeEntry) -> bool:
    return stat.S_IFMT(entry.mode or 0) == 0o160000


def iso_time(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
