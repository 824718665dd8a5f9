"""The rows of a `documents`, `corpus` or `dataset` asset, with what curation said of them, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loresmith.data.media import MEDIA_FILES
from loresmith.errors import Failure, UserError

SCORES = "scores.parquet"

BATCH_ROWS = 256


class AssetRows:
    """The rows of an asset in their order.

    Where a corpus has scores.parquet, its columns stand beside those of the documents: `scores`, `flags`, `near` and
    what else there is. Those that both have, such as `path`, are the documents'.

    Args:
        directory: a `documents`, `corpus` or `dataset` asset.
        called: what a message calls it; empty: its directory.
        media: the rows are the media documents of a corpus, and not its documents.

    Raises:
        UserError: it is none of them, or has no media documents.
    """

    def __init__(self, directory: Path, called: str = "", *, media: bool = False) -> None:
        self.directory = directory
        if media:
            self._files = sorted(directory.glob(MEDIA_FILES))
        else:
            self._files = sorted(directory.glob("documents-*.parquet")) or sorted(directory.glob("records.parquet"))
        if media and not self._files:
            raise UserError(
                "there are no media documents here",
                where=called or str(directory),
                hint="only `curate` sets them apart; those of other assets are among the documents: "
                "`--where \"media_type LIKE 'image/%'\"`",
            )
        if not self._files:
            raise UserError(
                "there are neither documents nor conversations here",
                where=called or str(directory),
                hint="give an asset of documents, a corpus or a dataset",
            )
        self._own = pq.read_schema(self._files[0])
        scores = directory / SCORES
        self._scored = pq.read_schema(scores) if scores.exists() else None

    @property
    def schema(self) -> pa.Schema:
        """All columns that `batches` can give."""
        if self._scored is None:
            return self._own
        more = [field for field in self._scored if field.name not in self._own.names]
        return pa.schema([*self._own, *more])

    @property
    def own_schema(self) -> pa.Schema:
        """The columns without those of scores.parquet."""
        return self._own

    @property
    def conversations(self) -> bool:
        """Whether the rows are conversations and not documents."""
        return "messages" in self._own.names

    def count(self) -> int:
        """How many rows there are."""
        return sum(pq.read_metadata(file).num_rows for file in self._files)

    def batches(self, columns: Sequence[str], batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """All rows in order, with these columns, at most so many at a time."""
        return self.joined(self._own_batches(self.read(columns), batch_rows), columns)

    def read(self, columns: Sequence[str]) -> list[str]:
        """Which of the documents' own columns are read to give these."""
        own = [name for name in columns if name in self._own.names]
        return own if len(own) == len(columns) or "id" in own else [*own, "id"]

    def joined(
        self, batches: Iterable[pa.RecordBatch], columns: Sequence[str], first_group: int = 0
    ) -> Iterator[pa.RecordBatch]:
        """These columns of documents, given with those that `read` names.

        Args:
            batches: some of the documents, in their order.
            first_group: the row group of scores.parquet in which the first of them is, or one before it.
        """
        own = [name for name in columns if name in self._own.names]
        more = [name for name in columns if name not in own]
        if not more:
            yield from batches
            return
        said = _Scores(self.directory / SCORES, more, first_group)
        for batch in batches:
            together = {name: batch.column(name) for name in own} | said.of(batch.column("id").to_pylist())
            yield pa.RecordBatch.from_pydict({name: together[name] for name in columns})

    def score_groups(self, ids: Sequence[str]) -> list[int]:
        """For each of some documents, given in their order, the row group of scores.parquet that it is in."""
        groups: list[int] = []
        with pq.ParquetFile(self.directory / SCORES, pre_buffer=False) as table:
            for group in range(table.metadata.num_row_groups):
                if len(groups) == len(ids):
                    break
                there = set(table.read_row_group(group, columns=["id"], use_threads=False)["id"].to_pylist())
                while len(groups) < len(ids) and ids[len(groups)] in there:
                    groups.append(group)
        if len(groups) < len(ids):
            raise Failure(f"there is no row for the document {ids[len(groups)]}", where=str(self.directory / SCORES))
        return groups

    def _own_batches(self, columns: Sequence[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        for file in self._files:
            with pq.ParquetFile(file, pre_buffer=False) as table:
                yield from table.iter_batches(batch_rows, columns=list(columns), use_threads=False)


class _Scores:
    """The rows of scores.parquet that belong to documents which are asked for in the order of that file.

    It has a row for every document that curation was given, and the corpus those that were kept, in the same order.
    """

    def __init__(self, file: Path, columns: Sequence[str], first_group: int) -> None:
        self._columns = list(columns)
        self._where = str(file)
        table = pq.ParquetFile(file, pre_buffer=False)
        groups = list(range(first_group, table.metadata.num_row_groups))
        self._batches = table.iter_batches(4096, groups, ["id", *columns], use_threads=False)
        self._batch: pa.RecordBatch | None = None
        self._ids: list[Any] = []
        self._at = 0

    def of(self, ids: Sequence[Any]) -> dict[str, pa.Array[Any]]:
        """The columns, with a row for each of these documents, of which there is at least one."""
        parts: list[pa.RecordBatch] = []
        wanted: list[int] = []
        for document in ids:
            while not self._seek(document):
                if self._batch is not None:
                    parts.append(self._batch.take(pa.array(wanted, pa.int64())))
                    wanted = []
                self._batch = next(self._batches, None)
                if self._batch is None:
                    raise Failure(f"there is no row for the document {document}", where=self._where)
                self._ids, self._at = self._batch.column("id").to_pylist(), 0
            wanted.append(self._at)
            self._at += 1
        if self._batch is not None:
            parts.append(self._batch.take(pa.array(wanted, pa.int64())))
        return {name: pa.concat_arrays([part.column(name) for part in parts]) for name in self._columns}

    def _seek(self, document: str) -> bool:
        """Go to a document's row in the batch at hand; False where it is not in the rest of it."""
        try:
            self._at = self._ids.index(document, self._at)
        except ValueError:
            return False
        return True
