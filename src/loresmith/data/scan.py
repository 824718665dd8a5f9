"""Which files there are below the places that a recipe names, in an order that never changes.

Nothing that matches is left out: what is not a regular file is found too, with the reason why it cannot be read.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loresmith.data.globs import glob_regex
from loresmith.data.path_names import LONGEST_PATH, path_name
from loresmith.errors import UserError

_SPECIAL = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


@dataclass(frozen=True)
class Entry:
    """One thing that the patterns match.

    Attributes:
        path: its path below the place, as `path_names` writes it; unique.
        location: where the operating system finds it, symbolic links resolved.
        target: of a symbolic link that is followed, the path of what it leads to; else empty.
        refusal: why it is not read; empty for a regular file.
        detail: more about the refusal.
    """

    path: str
    location: str
    refusal: str = ""
    detail: str = ""
    target: str = ""


def scan(places: Sequence[Path], include: Sequence[str], exclude: Sequence[str]) -> list[Entry]:
    """Everything below the places that matches, sorted by path.

    A single file is found under its own name. With several places, every path begins with its place's name.
    Symbolic links to files below the same place are followed, if the patterns want the file where it lies, too; links
    to folders are not, since what they show is found where it lies.

    Args:
        places: folders or files.
        include, exclude: patterns as `globs` explains them; exclude wins.

    Raises:
        UserError: a place is missing, two have the same name, or nothing matches.
    """
    _require_places(places)
    included, excluded = glob_regex(include), glob_regex(exclude)
    entries = []
    for place in places:
        top = f"{_resolved(place).name}/" if len(places) > 1 else ""
        for found in _below(place, excluded):
            if not excluded.fullmatch(found.path) and (found.closed or included.fullmatch(found.path)):
                entry = _entry(path_name(top + found.path), found, place)
                target = _target(entry, found, place)
                if target and (excluded.fullmatch(target) or not included.fullmatch(target)):
                    entry = replace(entry, refusal="symbolic link to what is left out")
                elif target:
                    entry = replace(entry, target=path_name(top + target))
                entries.append(entry)
    if not entries:
        raise UserError(
            f"no file in {', '.join(map(str, places))} matches include {list(include)} and exclude {list(exclude)}",
            hint="`**` includes everything, `*.md` one kind of file at any depth, `docs/**` one folder",
        )
    return sorted(entries, key=lambda entry: entry.path)


def _resolved(place: Path) -> Path:
    return Path(os.path.realpath(place))  # unlike Path.resolve, this does not raise for a link in a loop


def _require_places(places: Sequence[Path]) -> None:
    names: dict[str, Path] = {}
    for place in places:
        if not os.path.lexists(place):
            raise UserError(
                f"there is no file or folder {place}", hint="a relative path starts from the recipe's folder"
            )
        name = _resolved(place).name
        if name in names:
            raise UserError(
                f"two places have the same name {name!r}: {names[name]} and {place}",
                hint="name the folder above both, with `include`, or ingest them in two steps",
            )
        names[name] = place


@dataclass(frozen=True)
class _Found:
    path: str
    location: str
    closed: str = ""  # of a folder that cannot be listed: why


def _below(place: Path, excluded: re.Pattern[str]) -> Iterator[_Found]:
    """All that is no folder, and the folders that stay closed; paths are relative and as the system gives them."""
    if not place.is_dir():
        yield _Found(place.name, str(place))
        return
    folders = [("", str(place))]
    while folders:
        prefix, folder = folders.pop()
        try:
            with os.scandir(folder) as listing:
                children = list(listing)
        except OSError as error:
            yield _Found(prefix or f"{place.name}/", folder, error.strerror or type(error).__name__)
            continue
        for child in children:
            if not child.is_dir(follow_symlinks=False):
                yield _Found(prefix + child.name, child.path)
            elif not excluded.fullmatch(f"{prefix}{child.name}/"):
                folders.append((f"{prefix}{child.name}/", child.path))


def _entry(path: str, found: _Found, place: Path) -> Entry:
    def refused(reason: str, detail: str = "") -> Entry:
        return Entry(path, found.location, reason, detail)

    if len(path.encode()) > LONGEST_PATH:
        return refused("path too long", f"more than {LONGEST_PATH} bytes")
    if found.closed:
        return refused("unreadable", found.closed)
    linked = _is_link(found, place)
    try:
        location = os.path.realpath(found.location, strict=True)
        mode = Path(location).stat().st_mode
    except FileNotFoundError:
        return refused("broken symbolic link" if linked else "vanished")
    except OSError as error:
        if error.errno == errno.ELOOP:
            return refused("symbolic link in a loop")
        return refused("unreadable", error.strerror or type(error).__name__)
    if linked and not Path(location).is_relative_to(_resolved(place)):
        return refused("symbolic link that leads outside")
    if linked and stat.S_ISDIR(mode):
        return refused("symbolic link to a folder")
    if not stat.S_ISREG(mode):
        return refused("not a regular file", _SPECIAL.get(stat.S_IFMT(mode), ""))
    return Entry(path, location)


def _target(entry: Entry, found: _Found, place: Path) -> str:
    """Where the file lies that a link leads to, below the place and as the system gives it; empty for what is none."""
    if entry.refusal or not _is_link(found, place):
        return ""
    return os.path.relpath(entry.location, _resolved(place))


def _is_link(found: _Found, place: Path) -> bool:
    return Path(found.location).is_symlink() and Path(found.location) != place
