"""Looking for a few words everywhere below a folder, in whatever they may be packed."""

from __future__ import annotations

import gzip
import io
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def files_with(folder: Path, words: str) -> list[str]:
    """The files that have the words in them: as they stand, in columns of Parquet and Arrow, in archives, in SQLite."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and any(words in text for text in _texts(path, path.read_bytes()))
    )


def _texts(path: Path, data: bytes) -> Iterator[str]:
    yield data.decode("utf-8", "replace")
    yield data.decode("utf-16-le", "replace")
    if data[:4] == b"PAR1":
        yield str(pq.read_table(io.BytesIO(data)).to_pylist())
    elif zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield from _texts(path, archive.read(name))
    elif data[:2] == b"\x1f\x8b":
        yield from _texts(path, gzip.decompress(data))
    elif data[:15] == b"SQLite format 3":
        connection = sqlite3.connect(path)
        yield "\n".join(connection.iterdump())
        connection.close()
    elif b"extraction " in data[:64]:  # what `reading.memory` keeps: a digest, a header, an Arrow stream
        header, _, rest = data[32:].partition(b"\n")
        with pa.ipc.open_stream(rest[int(header.split()[1]) :]) as stream:
            yield str(stream.read_all().to_pylist())
