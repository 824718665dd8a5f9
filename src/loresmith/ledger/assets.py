"""Assets: immutable directories of files, named by the digest of what they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Table
from sqlalchemy.engine import Connection, Row

from loresmith.errors import Failure, LoresmithError, UserError
from loresmith.ledger.blobs import BlobStore
from loresmith.ledger.clock import timestamp
from loresmith.ledger.database import Database
from loresmith.ledger.digest import canonical_json, digest_bytes, digest_file, is_digest, parse_json
from loresmith.ledger.faults import file_faults
from loresmith.ledger.log import Log
from loresmith.ledger.references import resolve
from loresmith.ledger.schema import ASSET, BLOB
from loresmith.ledger.tombstones import MADE_ANEW, Tombstone, require_not_erased, tombstones
from loresmith.ledger.views import Views
from loresmith.nearest import with_article


class File(BaseModel):
    """One file of an asset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str = Field(description="SHA-256 of its bytes.")
    size: int = Field(ge=0, description="Its length in bytes.")


class Asset(BaseModel):
    """What is known of one asset. `digest` is that of the canonical JSON of files, kind, labels and metadata."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str = Field(description="Its identity.")
    kind: str = Field(description="What it is: `source`, `tokens`, `model`, ...")
    files: dict[str, File] = Field(description="Its files by their path in it, with forward slashes.")
    metadata: dict[str, Any] = Field(description="Facts that follow from the content.")
    labels: tuple[str, ...] = Field(description="Access labels, sorted, each once.")
    size: int = Field(ge=0, description="The bytes of all files together.")
    created_at: str = Field(description="When this ledger first saw it; not part of its identity.")


class AssetCheck(BaseModel):
    """What hashing an asset's files again showed."""

    model_config = ConfigDict(frozen=True)

    digest: str
    files: int = Field(description="How many files it has.")
    bytes: int = Field(description="How many bytes they have, as recorded.")
    problems: tuple[str, ...] = Field(description="One sentence for each file that is missing or damaged.")
    erased: tuple[str, ...] = Field(default=(), description="One sentence for each file that was erased, on record.")


class Prepared(BaseModel):
    """An asset whose blobs are stored and which no row names yet."""

    model_config = ConfigDict(frozen=True)

    asset: Asset
    manifest: str

    def missing_rows(self, connection: Connection, at: str) -> dict[Table, list[dict[str, Any]]]:
        """The rows that the ledger lacks for it: none, when it is there already."""
        asset = self.asset
        if connection.execute(sql.select(ASSET.c.digest).where(ASSET.c.digest == asset.digest)).first():
            return {}
        sizes = {file.digest: file.size for file in asset.files.values()}
        known: set[str] = set()
        digests = sorted(sizes)
        for start in range(0, len(digests), 500):
            query = sql.select(BLOB.c.digest).where(BLOB.c.digest.in_(digests[start : start + 500]))
            known.update(connection.execute(query).scalars())
        require_not_erased(connection, digests, f"this {asset.kind} asset")
        return {
            BLOB: [{"digest": digest, "size": sizes[digest]} for digest in digests if digest not in known],
            ASSET: [
                {
                    "digest": asset.digest,
                    "kind": asset.kind,
                    "size": asset.size,
                    "manifest": self.manifest,
                    "created_at": at,
                }
            ],
        }


class Assets:
    """The assets of one ledger."""

    def __init__(self, database: Database, log: Log, blobs: BlobStore, views: Path) -> None:
        self._database = database
        self._log = log
        self._blobs = blobs
        self._views = Views(views, blobs)

    def add(
        self,
        kind: str,
        directory: Path,
        metadata: Mapping[str, Any] | None = None,
        labels: Sequence[str] = (),
        move: bool = False,
    ) -> Asset:
        """Store the files under `directory` as an asset. The same content is the same asset, and adds nothing.

        With `move` the directory is given up: its files are taken over without a copy where the file system allows,
        and it is gone when the asset is in the ledger.

        Raises:
            UserError: the directory is missing, holds no file, or holds something that is not a file.
            Failure: it cannot be stored; the ledger is as it was.
        """
        prepared = self.prepare(kind, directory, metadata or {}, labels, link=move)
        with self._database.write() as connection:
            at = timestamp()
            rows = prepared.missing_rows(connection, at)
            if rows:
                self._log.append(connection, "asset", prepared.asset.digest, rows, at=at)
        if move:
            remove(directory)
        return self.get(prepared.asset.digest)

    def prepare(
        self, kind: str, directory: Path, metadata: Mapping[str, Any], labels: Sequence[str], *, link: bool
    ) -> Prepared:
        """Store an asset's blobs, and nothing else (see `add`; with `link` blobs may share the directory's files)."""
        paths = _files(directory)
        self._require_not_erased(kind, [directory / path for path in paths])
        digests = self._blobs.put_files([directory / path for path in paths], link=link)
        sizes = [self._blobs.size(digest) for digest in digests]
        files = {path: File(digest=digest, size=size) for path, digest, size in zip(paths, digests, sizes, strict=True)}
        return _prepared(kind, files, metadata, labels)

    def identify(self, kind: str, directory: Path, metadata: Mapping[str, Any], labels: Sequence[str]) -> Asset:
        """What the files under `directory` would be as an asset. Nothing is stored. Errors as of `add`."""
        paths = _files(directory)
        with file_faults(directory):
            files = {
                path: File(digest=digest_file(directory / path), size=(directory / path).stat().st_size)
                for path in paths
            }
        return _prepared(kind, files, metadata, labels).asset

    def get(self, digest: str) -> Asset:
        """The asset of this whole digest. Raises UserError if there is none."""
        with self._database.read() as connection:
            found = connection.execute(sql.select(ASSET).where(ASSET.c.digest == digest)).first()
            if found is None:
                raise UserError(f"there is no asset {digest}", hint="`loresmith assets ls` lists them")
            return _asset(found)

    def find(self, reference: str, kind: str | None = None) -> Asset:
        """The asset that a person means.

        A reference is a digest, the beginning of one (8 digits or more, of one asset only), `release@channel`,
        `release` (its production target, else its candidate), `recipe/step` or `recipe/step.role` (what the newest
        action of that name made; without a role its output of the kind, or the only one that is no report).

        Raises:
            UserError: there is none, or it is not of `kind`; the message names the nearest that there is.
        """
        digest = reference
        if not is_digest(reference):
            with self._database.read() as connection:
                digest = resolve(connection, reference, kind)
        asset = self.get(digest)
        if kind is not None and asset.kind != kind:
            raise UserError(f"{reference} is {with_article(asset.kind)}, and {with_article(kind)} is needed")
        return asset

    def list(self, kind: str | None = None, limit: int | None = None) -> list[Asset]:
        """The assets, those last added first."""
        query = sql.select(ASSET).order_by(ASSET.c.leaf.desc(), ASSET.c.digest).limit(limit)
        if kind is not None:
            query = query.where(ASSET.c.kind == kind)
        with self._database.read() as connection:
            return [_asset(row) for row in connection.execute(query)]

    def directory(self, digest: str) -> Path:
        """A directory with the asset's files, to read and not to change. Made once, and again if it is not whole.

        Raises:
            UserError: there is no such asset, or files of it were erased.
            Failure: a blob is missing.
        """
        asset = self.require_content(digest)
        return self._views.directory(digest, {path: (file.digest, file.size) for path, file in asset.files.items()})

    def export(self, digest: str, target: Path) -> None:
        """Copy the asset's files to `target`, a directory that is empty or not there yet.

        Raises:
            UserError: the target is not empty, or not a directory; or files of the asset were erased.
            Failure: a blob is missing or damaged, or the copy cannot be written; nothing is left at the target.
        """
        asset = self.require_content(digest)
        self._views.export({path: file.digest for path, file in asset.files.items()}, target)

    def verify(self, digest: str) -> AssetCheck:
        """Hash every file of the asset again. A file that was erased is no problem, unless its bytes are there."""
        asset = self.get(digest)
        gone = self._tombstones(asset)
        problems: list[str] = []
        checked: dict[str, str | None] = {}
        for path, file in asset.files.items():
            if file.digest not in checked:
                checked[file.digest] = (
                    self._still_there(file.digest) if file.digest in gone else self._problem(file.digest)
                )
            if (problem := checked[file.digest]) is not None:
                problems.append(f"{path}: {problem}")
        erased = [f"{path}: {gone[file.digest].said}" for path, file in asset.files.items() if file.digest in gone]
        return AssetCheck(
            digest=digest,
            files=len(asset.files),
            bytes=asset.size,
            problems=tuple(problems),
            erased=tuple(erased),
        )

    def forget_view(self, digest: str) -> None:
        """Remove the directory that `directory` made of an asset, if it did."""
        self._views.remove(digest)

    def require_content(self, digest: str) -> Asset:
        """The asset. Raises UserError, naming the erasure, if files of it were erased."""
        asset = self.get(digest)
        gone = self._tombstones(asset)
        for path, file in asset.files.items():
            if (tombstone := gone.get(file.digest)) is not None:
                raise UserError(
                    f"content of this {asset.kind} asset was {tombstone.said}",
                    where=f"asset {digest[:12]}, {path}",
                    hint=MADE_ANEW,
                )
        return asset

    def _tombstones(self, asset: Asset) -> dict[str, Tombstone]:
        with self._database.read() as connection:
            return tombstones(connection, {file.digest for file in asset.files.values()})

    def _require_not_erased(self, kind: str, files: Sequence[Path]) -> None:
        """Raise UserError if files hold what was erased, before any of it is stored."""
        with self._database.read() as connection:
            if not tombstones(connection):
                return
            with file_faults(files[0].parent):
                digests = {digest_file(file) for file in files}
            require_not_erased(connection, digests, f"this {kind} asset")

    def require_blobs(self, digest: str) -> None:
        """Raise if a blob of the asset was erased (UserError), is missing or has another length (Failure)."""
        for path, file in self.require_content(digest).files.items():
            if not self._blobs.exists(file.digest) or self._blobs.size(file.digest) != file.size:
                raise Failure(f"blob {file.digest} ({path}) is missing or cut short", where=f"asset {digest}")

    def _still_there(self, blob: str) -> str | None:
        if not self._blobs.exists(blob):
            return None
        return f"blob {blob} was erased, and its bytes are there: `loresmith data erase` removes them"

    def _problem(self, blob: str) -> str | None:
        try:
            self._blobs.verify(blob)
        except LoresmithError as error:
            return error.what
        return None


def remove(directory: Path) -> None:
    """Delete a directory whose files the ledger has taken over."""
    with file_faults(directory):
        shutil.rmtree(directory)


def _prepared(kind: str, files: Mapping[str, File], metadata: Mapping[str, Any], labels: Sequence[str]) -> Prepared:
    """The asset that these files are, and its manifest, whose digest is the asset's."""
    kept = tuple(sorted(set(labels)))
    manifest = canonical_json(
        {
            "files": {path: file.model_dump() for path, file in files.items()},
            "kind": kind,
            "labels": list(kept),
            "metadata": dict(metadata),
        }
    )
    asset = Asset(
        digest=digest_bytes(manifest),
        kind=kind,
        files=dict(files),
        metadata=parse_json(manifest)["metadata"],
        labels=kept,
        size=sum(file.size for file in files.values()),
        created_at="",
    )
    return Prepared(asset=asset, manifest=manifest.decode())


def _asset(row: Row[Any]) -> Asset:
    said = parse_json(row.manifest)
    return Asset(
        digest=row.digest,
        kind=said["kind"],
        files=said["files"],
        metadata=said["metadata"],
        labels=tuple(said["labels"]),
        size=row.size,
        created_at=row.created_at,
    )


def _files(directory: Path) -> list[str]:
    """The paths of all files under a directory, with forward slashes, in order."""
    if not directory.is_dir():
        raise UserError("there is no such directory", where=str(directory))
    found: list[str] = []
    with file_faults(directory):
        for folder, folders, names in os.walk(directory, onerror=_raise):
            for name in (*names, *folders):
                path = Path(folder, name)
                if path.is_symlink() or not (path.is_file() or path.is_dir()):
                    raise UserError("an asset holds files only, and this is a link or a device", where=str(path))
            found += [Path(folder, name).relative_to(directory).as_posix() for name in names]
    if not found:
        raise UserError("an asset needs at least one file, and there is none here", where=str(directory))
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error
