"""What is remembered of documents to compare them: a signature and the set of shingles of each, on disk.

A shard of documents is sketched on its own, in any process and in any order; the sketches of all shards are then looked
at together. They take about 0.7 bytes for a byte of text, and 450 bytes for a document.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from numpy.typing import NDArray

from loresmith.data.duplicates.minhash import HASHES, lower
from loresmith.data.duplicates.shingles import shingles

_IDS = pa.schema([("id", pa.string())])
_BLOCK = 1 << 14  # documents whose signatures are looked at together
_KEPT_BYTES = 32 << 20  # of the sketches in memory before they are given back


def write_sketches(batches: Iterable[pa.RecordBatch], folder: Path) -> int:
    """Sketch the documents of a shard.

    Args:
        batches: columns `id` and `text`; one of them is in memory at a time.
        folder: made for the sketches.

    Returns:
        How many documents there were.
    """
    folder.mkdir(parents=True)
    documents = 0
    with (
        pa.OSFile(str(folder / "ids.arrow"), "wb") as id_file,
        pyarrow.ipc.new_file(id_file, _IDS) as ids,
        (folder / "signatures.bin").open("wb") as signature_file,
        (folder / "shingles.bin").open("wb") as shingle_file,
        (folder / "counts.bin").open("wb") as count_file,
        (folder / "bytes.bin").open("wb") as byte_file,
    ):
        for batch in batches:
            if not batch.num_rows:
                continue
            texts = texts_of(batch)
            signatures, sets, counts = _sketch(texts)
            ids.write_batch(pa.record_batch([batch.column("id").cast(pa.string())], schema=_IDS))
            signature_file.write(signatures.data)
            shingle_file.write(sets.data)
            count_file.write(counts.astype(np.int64).data)
            byte_file.write(np.array([len(text.encode()) for text in texts], dtype=np.int64).data)
            documents += len(texts)
    return documents


def texts_of(batch: pa.RecordBatch) -> list[str]:
    """The column `text`."""
    texts: list[str] = batch.column("text").to_pylist()  # type: ignore[assignment]  # of a column without nulls
    return texts


def _sketch(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.intp]]:
    """Signatures (documents, HASHES); each document's different shingles, ascending; and how many these are."""
    signatures = np.full((len(texts), HASHES), 0xFFFFFFFF, dtype=np.uint32)
    owned = [np.empty(0, dtype=np.uint64)]
    for some in shingles(texts):
        lower(signatures, some)
        counts = np.diff(some.starts, append=len(some.hashes))
        owned.append(np.repeat(some.owners.astype(np.uint64) << np.uint64(32), counts) | some.hashes)
    codes = np.concatenate(owned)
    codes.sort()
    codes = codes[np.r_[True, codes[1:] != codes[:-1]]]
    counts = np.bincount((codes >> np.uint64(32)).astype(np.intp), minlength=len(texts))
    return signatures, codes.astype(np.uint32), counts


class Sketches:
    """The sketches of all shards. Documents are numbered through, from 0, in the order of the shards.

    Args:
        folders: what `write_sketches` wrote, in the order of the documents.

    Attributes:
        bytes: (documents,) the length of each text in UTF-8.
        counts: (documents,) how many different shingles each has.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._files = [_MappedFile(folder / name) for folder in folders for name in ("signatures.bin", "shingles.bin")]
        self._signatures = [file.numbers.reshape(-1, HASHES) for file in self._files[0::2]]
        self._shingles = [file.numbers for file in self._files[1::2]]
        self._touched = 0
        self.bytes: NDArray[np.int64] = np.concatenate(
            [np.fromfile(folder / "bytes.bin", dtype=np.int64) for folder in folders]
        )
        counts = [np.fromfile(folder / "counts.bin", dtype=np.int64) for folder in folders]
        self.counts: NDArray[np.int64] = np.concatenate(counts)
        self._ends = np.concatenate([np.cumsum(some) for some in counts])
        self._first = np.cumsum([0, *(len(signatures) for signatures in self._signatures)])
        self._ids = pa.chunked_array(
            [chunk for folder in folders for chunk in _read_ids(folder / "ids.arrow").chunks], pa.string()
        )

    def __len__(self) -> int:
        return len(self.counts)

    def ids(self, numbers: NDArray[np.integer[Any]]) -> pa.ChunkedArray[pa.StringScalar]:
        """The ids of documents."""
        return self._ids.take(pa.array(numbers))

    def signatures(self, numbers: NDArray[np.int64]) -> NDArray[np.uint32]:
        """(len(numbers), HASHES) the signatures of documents."""
        result = np.empty((len(numbers), HASHES), dtype=np.uint32)
        shards = np.searchsorted(self._first, numbers, side="right") - 1
        for shard in np.unique(shards).tolist():
            here = shards == shard
            result[here] = self._signatures[shard][numbers[here] - self._first[shard]]
        self._touch(len(numbers) * mmap.PAGESIZE)
        return result

    def signature_blocks(self) -> Iterator[tuple[int, NDArray[np.uint32]]]:
        """The signatures of all documents, block by block, each with the number of its first document."""
        for first, signatures in zip(self._first.tolist(), self._signatures, strict=False):
            for start in range(0, len(signatures), _BLOCK):
                yield first + start, signatures[start : start + _BLOCK]
                self._touch(_BLOCK * HASHES * 4)

    def shingles(self, number: int) -> NDArray[np.uint32]:
        """The different shingles of a document, ascending."""
        shard = int(np.searchsorted(self._first, number, side="right")) - 1
        end = int(self._ends[number])
        return self._shingles[shard][end - int(self.counts[number]) : end]

    def shingle_blocks(self, entries: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint32]]]:
        """The shingles of all documents, and which document each is of; about so many at a time, or one document's."""
        for shard, held in enumerate(self._shingles):
            first, after = int(self._first[shard]), int(self._first[shard + 1])
            while first < after:
                begin = int(self._ends[first] - self.counts[first])
                last = max(first + 1, first + int(np.searchsorted(self._ends[first:after], begin + entries)))
                owners = np.repeat(np.arange(first, last), self.counts[first:last])
                yield owners, held[begin : int(self._ends[last - 1])]
                self._touch(4 * len(owners))
                first = last

    def jaccard(self, left: int, right: int) -> float:
        """The true similarity of two documents: shingles of both among those of either."""
        both = self._in_common(left, right)
        return both / (int(self.counts[left]) + int(self.counts[right]) - both)

    def containment(self, inner: int, outer: int) -> float:
        """The share of a document's shingles that another has, too."""
        return self._in_common(inner, outer) / int(self.counts[inner])

    def _in_common(self, one: int, other: int) -> int:
        few, many = sorted((self.shingles(one), self.shingles(other)), key=len)
        self._touch(4 * (len(few) + len(many)) + 2 * mmap.PAGESIZE)
        places = np.searchsorted(many, few)
        places[places == len(many)] = 0
        return int(np.count_nonzero(many[places] == few))

    def _touch(self, bytes_: int) -> None:
        """Give the memory back when much of the files has been looked at; they would all be in it at last."""
        self._touched += bytes_
        if self._touched > _KEPT_BYTES:
            for file in self._files:
                file.give_back()
            self._touched = 0


class _MappedFile:
    """A file of 32-bit numbers, read as it is used."""

    def __init__(self, path: Path) -> None:
        self._map = None
        self.numbers: NDArray[np.uint32] = np.empty(0, dtype=np.uint32)
        if path.stat().st_size:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self.numbers = np.frombuffer(self._map, dtype=np.uint32)

    def give_back(self) -> None:
        """What was read need not stay in memory; it is read again where it is used again."""
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)


def _read_ids(path: Path) -> pa.ChunkedArray[pa.StringScalar]:
    with pa.memory_map(str(path)) as file:
        return pyarrow.ipc.open_file(file).read_all().column("id")
