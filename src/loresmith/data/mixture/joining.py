"""Groups over all corpora of a mixture: what is near-identical is on one side, whichever corpora it is in.

Within a corpus that is so already. Of a group that is on two sides in all, everything goes to the held-out one, to test
before validation: what is held out stays unseen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loresmith.data.duplicates.near_duplicates import near_duplicates
from loresmith.data.duplicates.sketches import Sketches, write_sketches
from loresmith.data.engine.engine import Engine
from loresmith.data.engine.finished import once
from loresmith.data.engine.rows import KEYED, PASSAGES, REPEATED, Rows, RowWriter, write_found
from loresmith.data.engine.shards import read_shard
from loresmith.data.engine.sorting import read_rows_of, write_rows
from loresmith.data.mixture.forest import Forest
from loresmith.data.mixture.survey import IN_NONE, SURVEYED, THERE_ALREADY, Part, surveyed
from loresmith.data.mixture.terms import OWN, KnownTerms
from loresmith.errors import UserError

JOINED = np.dtype(
    [
        ("id", np.uint64),
        ("group", np.uint64),
        ("size", np.int64),
        ("value", np.float64),
        ("named", np.uint32),
        ("terms", np.uint32),
        ("source", np.int16),
        ("side", np.int8),
        ("moved", np.bool_),
    ]
)
"""A document: the hash of its id, and of the group that it is in now; bytes of text; what the order goes by; the number
of the document whose group's name is now that of its own; the number of its terms in `joined_terms`, or `OWN`; its
source, `IN_NONE` or `THERE_ALREADY`; the number of its split now (in `shards.SPLITS`: the more held out, the higher);
whether it was on another one."""

_ROWS, _COUNTS, _TERMS = "documents.rows", "counts.json", "terms.json"


def sketch(part: Part) -> int:
    """What the documents of a shard are compared by: their numbers stand for their ids, which may be there twice."""

    def numbered() -> Iterator[pa.RecordBatch]:
        number = part.shard.first
        for batch in read_shard(part.shard, ["text"]):
            ids = pa.array([str(each) for each in range(number, number + batch.num_rows)], pa.string())
            yield pa.record_batch([ids, batch["text"]], names=["id", "text"])
            number += batch.num_rows

    def make(folder: Path) -> None:
        write_sketches(numbered(), folder / "sketches")

    once(sketched(part), make)
    return part.shard.rows


def sketched(part: Part) -> Path:
    return part.folder / "sketched" / part.name


def join_groups(parts: Sequence[Part], engine: Engine, folder: Path, tick: Callable[[], None]) -> tuple[Path, int, int]:
    """Find what is near-identical in different corpora, and put every group on one side.

    A document that is in no source decides of no side. One that is there more than once is there on the terms of all.

    Args:
        parts: surveyed, and, where there are several corpora, sketched.
        folder: made for what comes of it.
        tick: called now and then; it may raise to leave.

    Returns:
        A file of `JOINED`, how many documents are near-identical to one of another group, and how many changed sides.

    Raises:
        UserError: a document that is there twice has other text the second time.
    """

    def make(made: Path) -> None:
        joining = _Joining(parts, engine, made / "between", tick)
        near = joining.join()
        write_rows(made / _ROWS, joining.rows())
        (made / _TERMS).write_text(json.dumps(joining.terms.rows()))
        joining.remove()
        (made / _COUNTS).write_text(json.dumps([near, joining.moved]))

    once(folder, make)
    near, moved = json.loads((folder / _COUNTS).read_text())
    return folder / _ROWS, near, moved


def joined_terms(joined: Path) -> list[dict[str, Any]]:
    """The terms by which documents of `JOINED` may be used, by number, as a row has them."""
    terms: list[dict[str, Any]] = json.loads((joined.parent / _TERMS).read_text())
    return terms


class _Joining:
    def __init__(self, parts: Sequence[Part], engine: Engine, folder: Path, tick: Callable[[], None]) -> None:
        folder.mkdir()
        self._parts = parts
        self._tables = engine.tables
        self._folder = folder
        self._tick = tick
        self._similarity = parts[0].rules.similarity
        count = sum(part.shard.rows for part in parts)
        self.terms = KnownTerms()
        write_rows(folder / "surveyed.rows", surveyed(parts, self.terms))
        documents = np.memmap(folder / "surveyed.rows", dtype=SURVEYED, mode="r")
        self._groups, self._sizes, self._terms_of = (
            documents[name].view(np.ndarray) for name in ("group", "size", "terms")
        )
        self._forest = Forest(folder / "parents", count)
        self._severest = _column(folder / "severest", np.dtype(np.int8), count, 0)
        self._group = _column(folder / "group", np.dtype(np.uint64), count, 2**64 - 1)
        self._named = _column(folder / "named", np.dtype(np.uint32), count, 2**32 - 1)
        self._terms = _column(folder / "terms", np.dtype(np.uint32), count, OWN)
        self._repeated: Rows = np.empty(0, dtype=REPEATED)
        self.moved = 0

    def join(self) -> int:
        """Which documents are of one group now; returns how many are near-identical to one of another."""
        self._find_repeated()
        for pairs in self._tables.neighbours([self._keyed("groups.parquet", "group")]):
            self._tick()
            for one, other in zip(pairs["left"].tolist(), pairs["right"].tolist(), strict=True):
                self._forest.join(one, other)
        near = 0
        if len({part.corpus for part in self._parts}) > 1:
            for one, other in self._alike():
                if self._groups[one] != self._groups[other]:
                    self._forest.join(one, other)
                    near += 1
        for again in self._repeated:
            self._forest.join(int(again["kept"]), int(again["document"]))
        for first, rows in self._blocks():
            roots = self._forest.roots(first, first + len(rows))
            meant = rows["source"] != IN_NONE
            np.maximum.at(self._severest, roots[meant], rows["side"][meant])
            np.minimum.at(self._group, roots, rows["group"])
        for first, rows in self._blocks():
            roots = self._forest.roots(first, first + len(rows))
            named = np.flatnonzero(self._group[roots] == rows["group"])
            np.minimum.at(self._named, roots[named], (first + named).astype(np.uint32))
        return near

    def rows(self) -> Iterator[Rows]:
        for first, found in self._blocks():
            roots = self._forest.roots(first, first + len(found))
            rows = np.zeros(len(found), dtype=JOINED)
            for name in ("id", "size", "value"):
                rows[name] = found[name]
            low, high = np.searchsorted(self._repeated["document"], [first, first + len(found)])
            again = self._repeated["document"][low:high].astype(np.int64) - first
            source = found["source"].copy()
            source[again[source[again] != IN_NONE]] = THERE_ALREADY
            rows["source"] = source
            rows["side"] = np.where(source != IN_NONE, self._severest[roots], found["side"])
            rows["moved"] = rows["side"] != found["side"]
            self.moved += int(rows["moved"].sum())
            rows["terms"] = self._terms[first : first + len(found)]
            rows["group"] = self._group[roots]
            own = rows["group"] == found["group"]
            rows["named"] = np.where(own, np.arange(first, first + len(found)), self._named[roots])
            yield rows

    def remove(self) -> None:
        for path in self._folder.iterdir():
            path.unlink()
        self._folder.rmdir()

    def _blocks(self) -> Iterator[tuple[int, Rows]]:
        first = 0
        for rows in read_rows_of(self._folder / "surveyed.rows", SURVEYED):
            self._tick()
            yield first, rows
            first += len(rows)

    def _find_repeated(self) -> None:
        """Documents of an id that stands before; all have the text of the first of them, which has the terms of all."""
        ids = self._passages("ids.parquet", lambda rows: rows["id"])
        self._repeated = write_found(self._folder / "repeated", self._tables.repeated([ids]), REPEATED)
        if not len(self._repeated):
            return
        differ = 0
        for start in range(0, len(self._repeated), 1 << 16):
            self._tick()
            some = self._repeated[start : start + (1 << 16)]
            differ += int(np.count_nonzero(self._sizes[some["document"]] != self._sizes[some["kept"]]))
            for again in some[self._terms_of[some["document"]] != self._terms_of[some["kept"]]]:
                first, second = int(again["kept"]), int(self._terms_of[again["document"]])
                before = int(self._terms[first])
                of_first = before if before != OWN else int(self._terms_of[first])
                self._terms[first] = self.terms.together(of_first, second)
        if differ:
            raise UserError(
                f"{differ} documents are in two of the corpora, with another text",
                hint="make the corpora with the same masks, or of different documents",
            )

    def _alike(self) -> Iterator[tuple[int, int]]:
        """Numbers of documents that are near-identical, each with the one that stands for its cluster."""
        sketches = Sketches([sketched(part) / "sketches" for part in self._parts])
        comparison = self._folder / "comparison"
        table = near_duplicates(sketches, comparison, self._similarity, self._tables)
        for batch in table.select(["document", "kept"]).to_batches():
            self._tick()
            for one, other in zip(batch["document"].to_pylist(), batch["kept"].to_pylist(), strict=True):
                yield int(str(one)), int(str(other))
        for path in comparison.iterdir():
            path.unlink()
        comparison.rmdir()

    def _keyed(self, name: str, column: str) -> Path:
        with RowWriter(self._folder / name, KEYED) as writer:
            for first, rows in self._blocks():
                writer.add(key=rows[column].copy(), document=_numbers(first, rows))
        return self._folder / name

    def _passages(self, name: str, key: Callable[[Rows], NDArray[np.uint64]]) -> Path:
        with RowWriter(self._folder / name, PASSAGES) as writer:
            for first, rows in self._blocks():
                nothing = np.zeros(len(rows), dtype=np.uint32)
                writer.add(key=key(rows).copy(), document=_numbers(first, rows), start=nothing, end=nothing)
        return self._folder / name


def _numbers(first: int, rows: Rows) -> NDArray[np.uint32]:
    return np.arange(first, first + len(rows), dtype=np.uint32)


def _column(path: Path, dtype: np.dtype[np.generic], count: int, value: int) -> NDArray[np.generic]:
    """A number for each document, in a file that is in memory as far as it is used."""
    column = np.memmap(path, dtype=dtype, mode="w+", shape=(count,))
    for start in range(0, count, 1 << 20):
        column[start : start + (1 << 20)] = value
    return column.view(np.ndarray)
