"""One file of the corpus, from what was dealt out to it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from numpy.typing import NDArray

from loresmith.data.engine.finished import once
from loresmith.data.mixture.dealing import MIXED_COLUMNS, SLOTTED_COLUMNS, Dealing, dealt_out
from loresmith.data.mixture.standing import Standing
from loresmith.data.tables import TableWriter

_TOGETHER = 256
_COUNTS = "counts.json"


@dataclass(frozen=True)
class MixedFile:
    """A file of the corpus, and what is in it.

    Attributes:
        path: of the table.
        splits: documents and bytes, by split.
        languages: bytes, by language.
        labels: that its documents carry.
    """

    path: Path
    splits: Mapping[str, Mapping[str, int]]
    languages: Mapping[str, int]
    labels: Sequence[str]


def write_file(number: int, dealing: Dealing, folder: Path) -> MixedFile:
    """Write a file of the corpus.

    It is put in order a part at a time, as large as the memory allows.

    Args:
        number: which of them.
        folder: of all that are written.
    """

    def make(made: Path) -> None:
        tally = _Tally()
        with TableWriter(made / "documents.parquet", MIXED_COLUMNS) as writer:
            for row in _rows(number, dealing, made):
                tally.count(row)
                writer.add(row, row["bytes"])
        (made / _COUNTS).write_text(json.dumps(tally.said()))

    made = once(folder / f"{number:05d}", make)
    said = json.loads((made / _COUNTS).read_text())
    return MixedFile(made / "documents.parquet", said["splits"], said["languages"], said["labels"])


class _Tally:
    """What is in a file."""

    def __init__(self) -> None:
        self._labels: set[str] = set()
        self._languages: Counter[str] = Counter()
        self._splits: dict[str, Counter[str]] = {}

    def count(self, row: Mapping[str, Any]) -> None:
        self._labels.update(row["labels"])
        self._languages[row["language"]] += row["bytes"]
        self._splits.setdefault(row["split"], Counter()).update(documents=1, bytes=row["bytes"])

    def said(self) -> dict[str, Any]:
        return {"splits": self._splits, "languages": self._languages, "labels": sorted(self._labels)}


def _rows(number: int, dealing: Dealing, folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file in their order."""
    first, after = dealing.files.firsts[number : number + 2]
    begins = _begins(Standing(dealing.standing).sizes(first, after), dealing.memory, first)
    if len(begins) == 1:
        yield from _in_order(batch for part in dealing.parts for batch in dealt_out(part, number))
        return
    paths = [folder / f"part-{each:05d}.arrow" for each in range(len(begins))]
    with ExitStack() as files:
        writers = [_stream(path, files) for path in paths]
        for part in dealing.parts:
            for batch in dealt_out(part, number):
                of_part = np.searchsorted(begins, np.asarray(batch["slot"]), side="right") - 1
                for each in np.unique(of_part).tolist():
                    writers[each].write_batch(batch.filter(pa.array(of_part == each)))
    for path in paths:
        with pa.OSFile(str(path), "rb") as file:
            yield from _in_order(pyarrow.ipc.open_stream(file))
        path.unlink()


def _stream(path: Path, files: ExitStack) -> Any:
    options = pyarrow.ipc.IpcWriteOptions(compression="lz4")
    file = files.enter_context(pa.OSFile(str(path), "wb"))
    return files.enter_context(pyarrow.ipc.new_stream(file, SLOTTED_COLUMNS, options=options))


def _in_order(batches: Iterator[pa.RecordBatch] | pa.RecordBatchReader) -> Iterator[dict[str, Any]]:
    table = pa.Table.from_batches(list(batches), SLOTTED_COLUMNS).combine_chunks()
    order = np.argsort(table["slot"].to_numpy(), kind="stable")
    for start in range(0, len(order), _TOGETHER):
        some = table.take(pa.array(order[start : start + _TOGETHER], pa.int64()))
        yield from some.drop_columns(["slot"]).to_pylist()


def _begins(sizes: Iterator[NDArray[np.int64]], most: int, first: int) -> NDArray[np.int64]:
    """Where parts of about so many bytes begin."""
    return np.array(list(parted(sizes, most, first))[:-1], dtype=np.int64)


def parted(sizes: Iterator[NDArray[np.int64]], most: int, first: int = 0) -> Iterator[int]:
    """Where documents are parted, given their sizes: before the first, behind each that makes a part reach so many
    bytes, and behind the last."""
    yield first
    last = at = first
    size = 0
    for some in sizes:
        ends = size + np.cumsum(some)
        while (reached := int(np.searchsorted(ends, most))) < len(ends):
            last = at + reached + 1
            yield last
            ends -= ends[reached]
        size = int(ends[-1])
        at += len(some)
    if last < at:
        yield at
