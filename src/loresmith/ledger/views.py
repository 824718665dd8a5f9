"""An asset's files as a directory on this machine: shared with the store to read, or copied out to keep."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from loresmith.errors import Failure, UserError
from loresmith.ledger.blobs import BlobStore, PlaceMode
from loresmith.ledger.faults import file_faults


class Views:
    """The directories of assets under `root`, one an asset."""

    def __init__(self, root: Path, blobs: BlobStore) -> None:
        self._root = root.absolute()
        self._blobs = blobs

    def directory(self, digest: str, files: Mapping[str, tuple[str, int]]) -> Path:
        """The directory of an asset with these files (path to blob and size).

        It is filled under another name and renamed, so that whoever finds it finds it whole; of two who make it at
        once, one wins and both use it.
        """
        view = self._root / digest
        sizes = {path: size for path, (_blob, size) in files.items()}
        if _is_whole(view, sizes):
            return view
        making = self._root / f".{digest}-{secrets.token_hex(8)}"
        with file_faults(self._root):
            try:
                self._fill(making, {path: blob for path, (blob, _size) in files.items()}, "link")
                while not _is_whole(view, sizes):
                    _move_aside(view, making.with_name(making.name + "-old"))
                    try:
                        making.rename(view)
                    except OSError:
                        # Somebody else was faster, and theirs may be whole; if it is not, the loop replaces it too.
                        if not view.exists():
                            raise
            finally:
                for left in (making, making.with_name(making.name + "-old")):
                    shutil.rmtree(left, ignore_errors=True)
        return view

    def remove(self, digest: str) -> None:
        """Remove the directory of an asset, and whatever of one a process left that was killed while it made it."""
        with file_faults(self._root):
            for left in (self._root / digest, *self._root.glob(f".{digest}-*")):
                if left.exists():
                    shutil.rmtree(left)

    def export(self, files: Mapping[str, str], target: Path) -> None:
        """Copy files (path to blob) into `target`, which must be empty or not exist yet."""
        if target.exists() and not target.is_dir():
            raise UserError("this is not a directory", where=str(target))
        if target.is_dir() and any(target.iterdir()):
            raise UserError("this directory is not empty", where=str(target), hint="choose one that is not there yet")
        for blob in set(files.values()):
            self._blobs.verify(blob)
        making = target.with_name(f".{target.name}-{secrets.token_hex(8)}")
        with file_faults(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._fill(making, files, "copy")
                making.rename(target)
            finally:
                shutil.rmtree(making, ignore_errors=True)

    def _fill(self, directory: Path, files: Mapping[str, str], mode: PlaceMode) -> None:
        directory.mkdir(parents=True)
        for path, blob in files.items():
            target = directory / _inside(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            self._blobs.place(blob, target, mode)


def _inside(path: str) -> PurePosixPath:
    """The path, if it stays within its directory: a ledger may come from somebody who does not mean well."""
    relative = PurePosixPath(path)
    if relative.is_absolute() or not relative.parts or ".." in relative.parts or "\x00" in path:
        raise Failure("this path leads out of its asset; nothing was written", where=path)
    return relative


def _is_whole(view: Path, sizes: Mapping[str, int]) -> bool:
    """Whether the directory holds exactly these files at their lengths."""
    found: dict[str, int] = {}
    try:
        for folder, _folders, names in os.walk(view):
            for name in names:
                path = Path(folder, name)
                found[path.relative_to(view).as_posix()] = path.stat().st_size
    except FileNotFoundError:
        return False
    return found == dict(sizes)


def _move_aside(view: Path, aside: Path) -> None:
    try:
        view.rename(aside)
    except FileNotFoundError:
        return
