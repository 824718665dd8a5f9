"""The passages of one partition on disk: where each comes from in a table, and what they say beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loresmith.data.tables import TableWriter
from loresmith.serving.retrieval.passage import PassageRef

TABLE, TEXTS, ENDS = "passages.parquet", "texts.bin", "texts.npy"

OF_DOCUMENTS = ("media_type", "language", "licence", "retain_until")
"""Texts that a passage has from its document as they are; empty where they are not known."""

_TEXTS: list[tuple[str, pa.DataType]] = [(name, pa.string()) for name in ("document", "path", *OF_DOCUMENTS)]
_NUMBERS: list[tuple[str, pa.DataType]] = [(name, pa.int64()) for name in ("start", "end", "byte_start", "byte_end")]
PASSAGE_COLUMNS = pa.schema([*_TEXTS, *_NUMBERS, ("exact", pa.bool_()), ("pages", pa.list_(pa.int32()))])
"""A row for each passage, in the order of their numbers; their texts stand in texts.bin, where texts.npy says."""


class PassageWriter:
    """Writes the passages of a partition, in order. A context manager.

    Attributes:
        passages: how many were added.
        documents: of how many documents.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._table = TableWriter(folder / TABLE, PASSAGE_COLUMNS)
        self._texts = (folder / TEXTS).open("wb")
        self._ends = [0]
        self._last = ""
        self.passages = self.documents = 0

    def add(self, row: Mapping[str, Any], text: str) -> None:
        """Add a passage; those of a document come one after the other."""
        self._table.add(row)
        written = text.encode()
        self._texts.write(written)
        self._ends.append(self._ends[-1] + len(written))
        self.passages += 1
        self.documents += row["document"] != self._last
        self._last = row["document"]

    def __enter__(self) -> PassageWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._table.close()
        self._texts.close()
        np.save(self._folder / ENDS, np.array(self._ends, np.int64))


class PassageTable:
    """The passages in a folder that a `PassageWriter` has filled.

    Args:
        labels: of all of them.
    """

    def __init__(self, folder: Path, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._table = pq.read_table(folder / TABLE, schema=PASSAGE_COLUMNS, use_threads=False)
        self._ends = np.load(folder / ENDS, mmap_mode="r")
        self._texts = np.memmap(folder / TEXTS, np.uint8, "r")

    def __len__(self) -> int:
        return self._table.num_rows

    def paths(self) -> list[str]:
        """Of the files that the passages come from, by their numbers."""
        return [str(path) for path in self._table["path"].to_pylist()]

    def of_document(self, named: str) -> list[int]:
        """The numbers of the passages of documents with this id or path."""
        names = zip(self._table["document"].to_pylist(), self._table["path"].to_pylist(), strict=True)
        return [number for number, either in enumerate(names) if named in either]

    def ref(self, number: int) -> PassageRef:
        """Where a passage comes from."""
        row: dict[str, Any] = self._table.slice(number, 1).to_pylist()[0]
        row["pages"] = tuple(row["pages"])
        return PassageRef(labels=self._labels, **row)

    def text(self, number: int) -> str:
        """What a passage says."""
        return bytes(self._texts[self._ends[number] : self._ends[number + 1]]).decode()
