"""Blobs in a local folder: `sha256/ab/<digest>`, mode 0444, and `incoming/` for what is still being written.

A file takes its final name only after its bytes are on the disk, so whatever has that name is whole, also after a
power cut. What a killed process left in `incoming/` is removed by a later writer.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from loresmith.errors import Failure
from loresmith.ledger.blobs import PlaceMode, blob_path, damaged, missing
from loresmith.ledger.digest import digest_bytes, digest_file
from loresmith.ledger.faults import file_faults
from loresmith.ledger.liveness import Process
from loresmith.ledger.reflink import reflink

_CHUNK_BYTES = 1 << 20
_BATCH = 512
_ABANDONED_SECONDS = 24 * 3600.0
# When a hard link cannot be made, and a copy can.
_NO_LINK = {errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP}
# Asking for the whole file system at once is 20 times faster than file by file, from about this many on.
_MANY = 8


class LocalBlobs:
    """A `BlobStore` in the folder `root`, which is made at the first write."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._incoming = self.root / "incoming"
        self._swept = False

    @property
    def folder(self) -> Path | None:
        return self.root

    def put_bytes(self, data: bytes) -> str:
        digest = digest_bytes(data)
        with file_faults(self.root):
            if not self._is_whole(digest):
                with self._staging() as staged:
                    staged[digest] = self._temporary()
                    staged[digest].write_bytes(data)
        return digest

    def put_file(self, path: Path, *, move: bool = False) -> str:
        (digest,) = self.put_files([path], link=move)
        if move:
            with file_faults(path):
                path.unlink()
        return digest

    def put_files(self, paths: Sequence[Path], *, link: bool = False) -> list[str]:
        digests: list[str] = []
        for start in range(0, len(paths), _BATCH):
            with file_faults(self.root):
                digests += self._put_batch(paths[start : start + _BATCH], link=link)
        return digests

    def open(self, digest: str) -> BinaryIO:
        with file_faults(self.root):
            return open(self._found(digest), "rb")

    def read(self, digest: str) -> bytes:
        with file_faults(self.root):
            data = self._found(digest).read_bytes()
        if (found := digest_bytes(data)) != digest:
            raise damaged(digest, found, self.root)
        return data

    def exists(self, digest: str) -> bool:
        return self._path(digest).is_file()

    def size(self, digest: str) -> int:
        return self._found(digest).stat().st_size

    def verify(self, digest: str) -> None:
        with file_faults(self.root):
            if (found := digest_file(self._found(digest))) != digest:
                raise damaged(digest, found, self.root)

    def place(self, digest: str, target: Path, mode: PlaceMode = "link") -> None:
        source = self._found(digest)
        with file_faults(target):
            if reflink(source, target):
                target.chmod(0o444 if mode == "link" else 0o644)
            elif mode == "copy" or not _linked(source, target):
                _copy(source, target)
                target.chmod(0o444 if mode == "link" else 0o644)

    def erase(self, digests: Collection[str]) -> int:
        removed = 0
        with file_faults(self.root):
            folders = set()
            for digest in digests:
                path = self._path(digest)
                with suppress(FileNotFoundError):
                    size = path.stat().st_size
                    path.unlink()
                    removed += size
                    folders.add(path.parent)
            if self._incoming.is_dir():
                for left in self._incoming.iterdir():
                    if _is_abandoned(left):  # half of a blob is some of its text
                        left.unlink(missing_ok=True)
            if folders:
                _flush(self.root, list(folders))
        return removed

    def _path(self, digest: str) -> Path:
        return self.root / blob_path(digest)

    def _found(self, digest: str) -> Path:
        path = self._path(digest)
        if not path.is_file():
            raise missing(digest, self.root)
        return path

    def _is_whole(self, digest: str) -> bool:
        """Whether the blob is there and undamaged; one that is not is written again."""
        path = self._path(digest)
        return path.is_file() and digest_file(path) == digest

    def _put_batch(self, paths: Sequence[Path], *, link: bool) -> list[str]:
        digests = [digest_file(path) for path in paths]
        sources = dict(zip(digests, paths, strict=True))
        new = {digest: path for digest, path in sources.items() if not self._is_whole(digest)}
        if new:
            with self._staging() as staged:
                for digest, path in new.items():
                    staged[digest] = self._temporary()
                    # A file with other names could still be written through them.
                    if link and path.stat().st_nlink == 1 and _linked(path, staged[digest]):
                        continue
                    if not reflink(path, staged[digest]):
                        _copy(path, staged[digest])
                    if digest_file(staged[digest]) != digest:
                        raise Failure("this file changed while it was being stored", where=str(path))
        return digests

    @contextmanager
    def _staging(self) -> Iterator[dict[str, Path]]:
        """Files of `incoming/` by digest, to be filled in the block; they become blobs at its end, all or none."""
        self._incoming.mkdir(parents=True, exist_ok=True)
        if not self._swept:
            self._swept = True
            for left in self._incoming.iterdir():
                if _is_abandoned(left):
                    left.unlink(missing_ok=True)
        staged: dict[str, Path] = {}
        try:
            yield staged
            self._settle(staged)
        finally:
            for temporary in staged.values():
                temporary.unlink(missing_ok=True)

    def _settle(self, staged: Mapping[str, Path]) -> None:
        """Give files of `incoming/` their final names, once they are on the disk."""
        for temporary in staged.values():
            temporary.chmod(0o444)
        _flush(self.root, list(staged.values()))
        folders = {self._path(digest).parent for digest in staged}
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        for digest, temporary in staged.items():
            temporary.replace(self._path(digest))
        _flush(self.root, [*folders, self.root / "sha256", self.root])

    def _temporary(self) -> Path:
        process = Process.current()
        return self._incoming / f"{process.pid}-{process.started}-{secrets.token_hex(8)}@{process.host}"


def _linked(source: Path, target: Path) -> bool:
    """Make `target` a hard link to `source`; False where the file system does not allow it."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise
    return True


def _copy(source: Path, target: Path) -> None:
    """Copy a file to one that is new; nothing is left of it when that fails."""
    with open(source, "rb") as read, open(target, "xb") as written:
        try:
            shutil.copyfileobj(read, written, _CHUNK_BYTES)
        except OSError:
            target.unlink()
            raise


def _flush(root: Path, paths: Sequence[Path]) -> None:
    """Wait until files and folders, all on the file system of `root`, are on the disk."""
    if len(paths) >= _MANY and sys.platform.startswith("linux"):
        library = ctypes.CDLL(None, use_errno=True)
        with _descriptor(root) as descriptor:
            if library.syncfs(descriptor) == 0:
                return
    for path in paths:
        with _descriptor(path) as descriptor:
            os.fsync(descriptor)


@contextmanager
def _descriptor(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_abandoned(left: Path) -> bool:
    """Whether the process that wrote this file of `incoming/` is gone, or, on another machine, silent for a day."""
    name, _, host = left.name.partition("@")
    pid, _, rest = name.partition("-")
    writer = Process(host=host, pid=int(pid) if pid.isdigit() else 0, started=rest.partition("-")[0])
    if writer.is_here:
        return not writer.is_alive()
    try:
        return time.time() - left.stat().st_ctime > _ABANDONED_SECONDS
    except FileNotFoundError:
        return False
