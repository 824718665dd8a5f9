"""Blobs in any store that fsspec knows: an object store, a server, memory."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from fsspec import AbstractFileSystem

from loresmith.ledger.blobs import PlaceMode, blob_path, damaged, missing
from loresmith.ledger.digest import digest_bytes, digest_file
from loresmith.ledger.faults import file_faults

_CHUNK_BYTES = 1 << 20


class RemoteBlobs:
    """A `BlobStore` under `root` of an fsspec file system.

    A blob is written in an fsspec transaction: it appears whole at the end, or not at all.
    """

    def __init__(self, files: AbstractFileSystem, root: str) -> None:
        self._files = files
        self.root = root.rstrip("/")

    @property
    def folder(self) -> Path | None:
        return None

    def put_bytes(self, data: bytes) -> str:
        digest = digest_bytes(data)
        with file_faults(self.root):
            if not self.exists(digest):
                with self._files.transaction, self._created(digest) as written:
                    written.write(data)
        return digest

    def put_file(self, path: Path, *, move: bool = False) -> str:
        with file_faults(self.root):
            digest = digest_file(path)
            if not self.exists(digest):
                with self._files.transaction, open(path, "rb") as read, self._created(digest) as written:
                    shutil.copyfileobj(read, written, _CHUNK_BYTES)
            if move:
                path.unlink()
        return digest

    def put_files(self, paths: Sequence[Path], *, link: bool = False) -> list[str]:
        return [self.put_file(path) for path in paths]

    def open(self, digest: str) -> BinaryIO:
        with file_faults(self.root):
            try:
                return cast(BinaryIO, self._files.open(self._path(digest), "rb"))
            except FileNotFoundError:
                raise missing(digest, self.root) from None

    def read(self, digest: str) -> bytes:
        with self.open(digest) as file, file_faults(self.root):
            data = file.read()
        if (found := digest_bytes(data)) != digest:
            raise damaged(digest, found, self.root)
        return data

    def exists(self, digest: str) -> bool:
        with file_faults(self.root):
            return bool(self._files.isfile(self._path(digest)))

    def size(self, digest: str) -> int:
        with file_faults(self.root):
            try:
                return int(self._files.size(self._path(digest)))
            except FileNotFoundError:
                raise missing(digest, self.root) from None

    def verify(self, digest: str) -> None:
        hashed = hashlib.sha256()
        with self.open(digest) as file, file_faults(self.root):
            while chunk := file.read(_CHUNK_BYTES):
                hashed.update(chunk)
        if hashed.hexdigest() != digest:
            raise damaged(digest, hashed.hexdigest(), self.root)

    def place(self, digest: str, target: Path, mode: PlaceMode = "link") -> None:
        with self.open(digest) as read, file_faults(target), open(target, "xb") as written:
            shutil.copyfileobj(read, written, _CHUNK_BYTES)
        if (found := digest_file(target)) != digest:
            target.unlink()
            raise damaged(digest, found, self.root)
        target.chmod(0o444 if mode == "link" else 0o644)

    def erase(self, digests: Collection[str]) -> int:
        removed = 0
        with file_faults(self.root):
            for digest in digests:
                with suppress(FileNotFoundError):
                    size = int(self._files.size(self._path(digest)) or 0)
                    self._files.rm_file(self._path(digest))
                    removed += size
        return removed

    def _path(self, digest: str) -> str:
        return f"{self.root}/{blob_path(digest)}"

    def _created(self, digest: str) -> IO[bytes]:
        path = self._path(digest)
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        opened: Any = self._files.open(path, "wb")
        return cast(IO[bytes], opened)
