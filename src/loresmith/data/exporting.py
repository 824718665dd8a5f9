"""Documents or conversations as files of somebody else's: JSON Lines or Parquet, and a manifest of what they are.

The files are there whole or not at all, and never in the place of others.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from loresmith.data.asset_rows import AssetRows
from loresmith.data.looking import matching_batches
from loresmith.errors import UserError

if TYPE_CHECKING:
    from loresmith.data.conditions.condition import Condition

Format = Literal["jsonl", "parquet"]

MANIFEST = "manifest.json"
Compression = Literal["gzip", "zstd"]
FILE_ENDINGS: Mapping[str, tuple[Format, Compression | None]] = {
    ".jsonl": ("jsonl", None),
    ".jsonl.gz": ("jsonl", "gzip"),
    ".jsonl.zst": ("jsonl", "zstd"),
    ".parquet": ("parquet", None),
}
"""How a file is written, by the end of its name; anything else is a folder."""

_JSON_COLUMNS = ("metadata", "messages", "tools")
_FILE_BYTES = 1 << 30
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV, errno.EMLINK})


@dataclass(frozen=True)
class Export:
    """What to write, and where.

    Attributes:
        target: a folder that is new or empty, or a file that is not there yet, with one of `FILE_ENDINGS`.
        format: None: that of the file's name; in a folder, Parquet.
        condition, split: which rows; None: all.
        known: what the manifest says besides.
    """

    target: Path
    format: Format | None = None
    condition: Condition | None = None
    split: str | None = None
    known: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Exported:
    """What was written.

    Attributes:
        files: the bytes and the sha256 of each, by name.
        rows, bytes: documents or conversations, and the bytes of their texts.
        labels: how many of them carry each label.
        manifest: where that is said.
    """

    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: int = 0
    bytes: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    manifest: Path = Path()


def export(asset: AssetRows, wanted: Export) -> Exported:
    """Write rows of an asset, in their order, with all their columns.

    Args:
        asset: its scores stay behind.

    Raises:
        UserError: the target is there already, its name contradicts the format, or no row is meant.
    """
    target = wanted.target
    ending = next((ending for ending in FILE_ENDINGS if target.name.endswith(ending)), None)
    if ending is None:
        return _to_folder(asset, wanted)
    format_, compression = FILE_ENDINGS[ending]
    if wanted.format not in (None, format_):
        raise UserError(f"{target.name} is written as {format_}, and {wanted.format} is asked for", where=str(target))
    manifest = target.with_name(f"{target.name}.{MANIFEST}")
    for path in (target, manifest):
        if path.exists() or path.is_symlink():
            raise UserError("it is there already, and nothing is overwritten", where=str(path))
    result = Exported(manifest=manifest)
    with _made_whole(target) as making:
        making.mkdir()
        _write(asset, wanted, format_, compression, [making / target.name], result)
        _write_manifest(making / manifest.name, result, wanted)
        _put(making / manifest.name, manifest)
        try:
            _put(making / target.name, target)
        except BaseException:
            manifest.unlink()
            raise
    return result


def _put(made: Path, target: Path) -> None:
    """Give a file its name; never over one that came in the meantime."""
    try:
        os.link(made, target)
    except FileExistsError:
        raise UserError("it has come to be there meanwhile, and nothing is overwritten", where=str(target)) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _put_without_links(made, target)


def _put_without_links(made: Path, target: Path) -> None:
    """The same where links cannot be made (FAT, some network shares): over an empty file that nobody else made."""
    try:
        target.touch(exist_ok=False)
    except FileExistsError:
        raise UserError("it has come to be there meanwhile, and nothing is overwritten", where=str(target)) from None
    try:
        made.replace(target)
    except BaseException:
        target.unlink()
        raise


def _to_folder(asset: AssetRows, wanted: Export) -> Exported:
    target = wanted.target
    if target.is_dir() and any(target.iterdir()):
        raise UserError("this folder is not empty", where=str(target), hint="choose one that is not there yet")
    if target.exists() and not target.is_dir():
        endings = ", ".join(FILE_ENDINGS)
        raise UserError("this is no folder", where=str(target), hint=f"a file's name ends in one of {endings}")
    format_: Format = wanted.format or "parquet"
    name = "records" if asset.conversations else "documents"
    result = Exported(manifest=target / MANIFEST)
    with _made_whole(target) as making:
        making.mkdir()
        files = (making / f"{name}-{number:05d}.{format_}" for number in range(100_000))
        _write(asset, wanted, format_, None, files, result)
        _write_manifest(making / MANIFEST, result, wanted)
        making.rename(target)
    return result


@contextmanager
def _made_whole(target: Path) -> Iterator[Path]:
    """A place beside the target to make it at; what is left there is removed."""
    making = target.absolute().with_name(f".{target.name}-{secrets.token_hex(8)}")
    making.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield making
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _write(
    asset: AssetRows, wanted: Export, format_: Format, compression: Compression | None, files: Any, result: Exported
) -> None:
    """Write all rows: to one file, or a new one for every GiB of text."""
    schema = asset.own_schema
    paths = iter(files)
    path = next(paths)
    begin = 0
    writer = _Writer(path, schema, format_, compression)
    for batch in matching_batches(asset, wanted.condition, schema.names, wanted.split):
        following = next(paths, None) if result.bytes - begin >= _FILE_BYTES else None
        if following is not None:
            writer.close()
            result.files[path.name] = _said_of(path)
            path, begin = following, result.bytes
            writer = _Writer(path, schema, format_, compression)
        writer.write(batch)
        result.rows += batch.num_rows
        result.bytes += sum(size or 0 for size in batch.column("bytes").to_pylist())
        for labels in batch.column("labels").to_pylist():
            result.labels.update(labels)
    writer.close()
    result.files[path.name] = _said_of(path)
    if not result.rows:
        raise UserError("there is nothing to write: no row is meant")


class _Writer:
    def __init__(self, path: Path, schema: pa.Schema, format_: Format, compression: Compression | None) -> None:
        self.write: Callable[[pa.RecordBatch], None]
        if format_ == "parquet":
            table = pq.ParquetWriter(path, schema, compression="zstd", compression_level=3)
            self.write, self.close = table.write_batch, table.close
        else:
            file = pa.OSFile(str(path), "wb")
            stream = pa.CompressedOutputStream(file, compression) if compression is not None else file
            self.write, self.close = lambda batch: _write_lines(stream, batch), stream.close


def _write_lines(stream: Any, batch: pa.RecordBatch) -> None:
    for row in batch.to_pylist():
        for column in _JSON_COLUMNS:
            if column in row:
                row[column] = json.loads(row[column])
        stream.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


def _said_of(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _write_manifest(path: Path, result: Exported, wanted: Export) -> None:
    said = {
        **wanted.known,
        "rows": result.rows,
        "bytes": result.bytes,
        "labels_of_rows": dict(sorted(result.labels.items())),
        "files": result.files,
    }
    path.write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
