"""What the files inside other files are called: names that stay below the outer file, and each of them once.

An archive's names are anybody's bytes. What becomes of them is a path below `outer!/`: with `/` between folders and no
component that leads up or away. `member_path` writes it as `path_names` writes those of the file system.
"""

from __future__ import annotations

import posixpath
import re

from loresmith.data.path_names import LONGEST_PATH, path_name

_DRIVE = re.compile(r"[A-Za-z]:")
_DEEPEST = 64
_COMPRESSED = {".tgz": ".tar", ".tbz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".tzst": ".tar"}


class UnsafeNameError(Exception):
    """A member's name cannot be made a path below the outer file; `reason` as for `Refused`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class _Folder:
    """What a folder holds by name; None is a file."""

    def __init__(self) -> None:
        self._children: dict[str, _Folder | None] = {}
        self._taken: dict[str, int] = {}  # how often a name was, when it was wanted
        self._renamed: dict[str, str] = {}  # folders that have the name of a file

    def file(self, name: str) -> str:
        unused = self._unused(name)
        self._children[unused] = None
        return unused

    def folder(self, name: str) -> tuple[str, _Folder]:
        name = self._renamed.get(name, name)
        inner = self._children.get(name)
        if inner is None:
            unused = self._renamed[name] = self._unused(name)
            inner = self._children[unused] = _Folder()
            name = unused
        return name, inner

    def _unused(self, name: str) -> str:
        stem, extension = posixpath.splitext(name)
        candidate = name
        while candidate in self._children:
            self._taken[name] = self._taken.get(name, 1) + 1
            candidate = f"{stem}~{self._taken[name]}{extension}"
        return candidate


class MemberNames:
    """The names given so far in one file."""

    def __init__(self) -> None:
        self._top = _Folder()

    def add(self, raw: str, *, windows: bool = False) -> str:
        """The name of a member, as a path below the outer file.

        Leading slashes are left off, as tar and unzip do. A name that another member has, or that would be both a
        file and a folder, gets a number: `a~2.txt`.

        Args:
            raw: as the archive has it, with undecodable bytes as lone surrogates.
            windows: whether a backslash divides folders.

        Raises:
            UnsafeNameError: the name leads up (`..`) or to another drive, or is too long.
        """
        parts = [part for part in (raw.replace("\\", "/") if windows else raw).split("/") if part not in ("", ".")]
        if ".." in re.split(r"[/\\]", raw) or (parts and _DRIVE.match(parts[0]) and (windows or "\\" in raw)):
            raise UnsafeNameError("path escapes", written(raw))
        name = "/".join(parts) or "unnamed"
        if len(_within(name).encode()) > LONGEST_PATH or len(parts) > _DEEPEST:
            limits = f"more than {LONGEST_PATH} bytes or {_DEEPEST} folders"
            raise UnsafeNameError("path too long", f"{limits}: {written(raw)}")
        *parts, last = name.split("/")
        folder = self._top
        for number, part in enumerate(parts):
            parts[number], folder = folder.folder(part)
        return "/".join([*parts, folder.file(last)])


def written(raw: str) -> str:
    """A raw name as a message may show it: on one line, at most 200 characters."""
    shown = path_name(raw)
    return shown if len(shown) <= 200 else f"{shown[:200]}..."


def member_anchor(name: str) -> str:
    """What stands between the path of the outer file and that of a member in it, and the latter."""
    return f"!/{_within(name)}"


def member_path(outer: str, name: str) -> str:
    """The path of a member of the file `outer`.

    A compressed file that does not say what it holds gives a member without a name: `table.csv.gz` holds `table.csv`.

    Args:
        outer: a path as `path_name` writes it.
        name: the member's, as `MemberNames` made it.
    """
    if name:
        return outer + member_anchor(name)
    stem, extension = posixpath.splitext(posixpath.basename(outer))
    return f"{outer}!/{stem + _COMPRESSED.get(extension.lower(), '') or 'unnamed'}"


def _within(name: str) -> str:
    """As `path_name`, with an exclamation mark at a component's end escaped: `!/` divides a file from what is in it."""
    return re.sub(r"!(?=/|\Z)", r"\\x21", path_name(name))
