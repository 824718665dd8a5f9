"""Blobs: bytes under the name of their SHA-256, written once, in a local folder or an object store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from loresmith.errors import Failure, UserError
from loresmith.ledger.digest import is_digest

PlaceMode = Literal["link", "copy"]


class BlobStore(Protocol):
    """What both kinds of store do. A blob once there never changes; the same bytes are stored once.

    All raise Failure when the store is full, read-only or out of reach, and leave nothing half-written.
    """

    @property
    def folder(self) -> Path | None:
        """Where the blobs lie, if that is a folder of this machine."""

    def put_bytes(self, data: bytes) -> str:
        """Store bytes; returns their digest."""

    def put_file(self, path: Path, *, move: bool = False) -> str:
        """Store a file's bytes; returns their digest. With `move` the file is taken, without a copy where possible."""

    def put_files(self, paths: Sequence[Path], *, link: bool = False) -> list[str]:
        """Store many files, which costs much less than one by one; returns their digests in the same order.

        With `link` the store may keep the very files, under a second name, instead of copies: the caller must not
        write to them any more, and may delete them. They become read-only.
        """

    def open(self, digest: str) -> BinaryIO:
        """The blob as a readable binary file. Raises Failure if there is none."""

    def read(self, digest: str) -> bytes:
        """The blob's bytes, checked against the digest. Raises Failure if there is none or it is damaged."""

    def exists(self, digest: str) -> bool:
        """Whether there is a blob of this digest (its bytes are not looked at)."""

    def size(self, digest: str) -> int:
        """The blob's length in bytes. Raises Failure if there is none."""

    def verify(self, digest: str) -> None:
        """Hash the blob again. Raises Failure, naming it, if it is missing or damaged."""

    def place(self, digest: str, target: Path, mode: PlaceMode = "link") -> None:
        """Make the blob appear as the new file `target`, whose folder exists.

        `link`: may share storage with the store (reflink or hard link) and is read-only; `copy`: stands on its own
        (reflink where the file system can, else a copy) and is the caller's to change. Raises Failure if there is no
        such blob or the file exists.
        """

    def erase(self, digests: Collection[str]) -> int:
        """Remove blobs for good; returns how many bytes went. Those that are not there are gone already."""


def open_blobs(address: str | Path) -> BlobStore:
    """The store at a folder's path or an fsspec URL (`s3://bucket/prefix`, `memory://name`).

    Raises:
        UserError: the URL's scheme is unknown, or needs a package that is not installed.
    """
    from loresmith.ledger.local_blobs import LocalBlobs

    text = str(address)
    scheme = text.partition("://")[0] if "://" in text else ""
    if scheme in ("", "file", "local"):
        return LocalBlobs(Path(text.removeprefix(f"{scheme}://") if scheme else text))
    from fsspec.core import url_to_fs

    from loresmith.ledger.remote_blobs import RemoteBlobs

    try:
        files, root = url_to_fs(text)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"blobs cannot be kept there: {error}",
            where=text,
            hint="a folder, or a URL that an installed fsspec package knows",
        ) from error
    return RemoteBlobs(files, root)


def blob_path(digest: str) -> str:
    """Where a blob lies under its store's root."""
    if not is_digest(digest):
        raise UserError("this is not a digest: 64 lower-case hexadecimal digits are", where=digest)
    return f"sha256/{digest[:2]}/{digest}"


def missing(digest: str, where: object) -> Failure:
    """The Failure that says that there is no such blob."""
    return Failure(f"blob {digest} is missing", where=str(where), hint="restore it from a backup of the blobs")


def damaged(digest: str, found: str, where: object) -> Failure:
    """The Failure that says that a blob's bytes are not those it is named after."""
    return Failure(
        f"blob {digest} is damaged: its bytes hash to {found}",
        where=str(where),
        hint="restore it from a backup of the blobs, or add the same file again",
    )
