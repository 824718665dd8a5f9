"""What there is to mix: a few numbers for every document of all corpora, on disk, shard by shard."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from loresmith.data.asset_rows import AssetRows
from loresmith.data.conditions.condition import Condition
from loresmith.data.conditions.numbers import NumberColumn
from loresmith.data.engine.finished import once
from loresmith.data.engine.rows import Rows
from loresmith.data.engine.shards import Shard, read_shard, shards
from loresmith.data.engine.sorting import read_rows_of, write_rows
from loresmith.data.mixing import hash_of
from loresmith.data.mixture.settings import MixtureRules
from loresmith.data.mixture.terms import COLUMNS, KnownTerms, SourceTerms
from loresmith.data.shards import SPLITS
from loresmith.errors import UserError

IN_NONE, THERE_ALREADY = -1, -2
"""Instead of a source: the document is in no source; or it has the id of one before it."""

SHARD_BYTES = 32 << 20
"""Text of a shard."""

SURVEYED = np.dtype(
    [
        ("id", np.uint64),
        ("group", np.uint64),
        ("size", np.int64),
        ("value", np.float64),
        ("terms", np.uint32),
        ("source", np.int16),
        ("side", np.int8),
    ]
)
"""A document: hashes of its id and its group; bytes of text; the value that the order goes by, ascending; the number of
the terms on which it may be used; the number of its source, or `IN_NONE`; the number of its split."""

_ROWS, _NAMES, _NAME_ENDS, _SEEN, _TERMS = "documents.rows", "groups.utf8", "group-ends.npy", "names.json", "terms.json"


@dataclass(frozen=True)
class Part:
    """A shard of one of the corpora.

    Attributes:
        shard: its first document's number is counted through all corpora.
        directory: the corpus, whose number is `corpus`.
        score_group: the row group of scores.parquet in which the shard's documents begin.
        folder: where what is in between stands.
    """

    shard: Shard
    directory: Path
    corpus: int
    score_group: int
    rules: MixtureRules
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.corpus}-{self.shard.name}"

    @property
    def surveyed(self) -> Path:
        return self.folder / "surveyed" / self.name

    def __str__(self) -> str:
        return f"{self.rules.corpora[self.corpus]}: {self.shard}"


def parts_of(corpora: Sequence[Path], rules: MixtureRules, folder: Path) -> list[Part]:
    """The shards of all corpora.

    Raises:
        UserError: one of them is no corpus, or a condition or a column means nothing.
    """
    parts: list[Part] = []
    first = 0
    for number, corpus in enumerate(corpora):
        rows = AssetRows(corpus, called=rules.corpora[number])
        if missing := sorted({"split", "group", *COLUMNS} - set(rows.schema.names)):
            raise UserError(f"this is no corpus: it has no column {missing[0]!r}", where=rules.corpora[number])
        looks = _Looks(rows, number, rules)
        found = shards(corpus, SHARD_BYTES)
        groups = [0] * len(found)
        if looks.columns - set(rows.own_schema.names):
            groups = rows.score_groups([_first_id(shard) for shard in found])
        for shard, group in zip(found, groups, strict=True):
            moved = Shard(shard.path, shard.first_group, shard.groups, first + shard.first, shard.rows, shard.bytes)
            parts.append(Part(moved, corpus, number, group, rules, folder))
        first += sum(shard.rows for shard in found)
    return parts


def survey(part: Part) -> int:
    """Look at the documents of a shard, without their texts unless a condition is on them.

    Raises:
        UserError: a document is in two sources.
    """

    def make(folder: Path) -> None:
        rows = AssetRows(part.directory, called=part.rules.corpora[part.corpus])
        looks = _Looks(rows, part.corpus, part.rules)
        columns = sorted(looks.columns)
        ends: list[NDArray[np.int64]] = [np.zeros(1, dtype=np.int64)]
        with (folder / _NAMES).open("wb") as names:

            def looked_at() -> Iterator[Rows]:
                own = read_shard(part.shard, rows.read(columns))
                for batch in rows.joined(own, columns, part.score_group):
                    groups = [str(group).encode() for group in batch["group"].to_pylist()]
                    names.write(b"".join(groups))
                    ends.append(ends[-1][-1] + np.cumsum([len(group) for group in groups]))
                    yield looks.at(batch)

            write_rows(folder / _ROWS, looked_at())
        np.save(folder / _NAME_ENDS, np.concatenate(ends), allow_pickle=False)
        (folder / _SEEN).write_text(json.dumps(looks.names_seen()))
        (folder / _TERMS).write_text(json.dumps(looks.terms.rows()))

    once(part.surveyed, make)
    return part.shard.rows


def surveyed(parts: Iterable[Part], terms: KnownTerms) -> Iterator[Rows]:
    """What there is in all shards, as `SURVEYED`, in the order of the documents; the numbers of terms are those that
    they have in `terms`, which gets all of them."""
    for part in parts:
        numbers = np.array(terms.add_rows(json.loads((part.surveyed / _TERMS).read_text())), dtype=np.uint32)
        for rows in read_rows_of(part.surveyed / _ROWS, SURVEYED):
            rows["terms"] = numbers[rows["terms"]]
            yield rows


def require_names(parts: Sequence[Part]) -> None:
    """Raise UserError if a condition, or the column that the order goes by, looks for what no document has."""
    for number in sorted({part.corpus for part in parts}):
        mine = [part for part in parts if part.corpus == number]
        looks = _Looks(AssetRows(mine[0].directory), number, mine[0].rules)
        for part in mine:
            looks.add_names(json.loads((part.surveyed / _SEEN).read_text()))
        looks.require_names()


class GroupNames:
    """The names of documents' groups, by the documents' numbers."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._first = np.array([part.shard.first for part in parts])

    def __getitem__(self, document: int) -> str:
        part = self._parts[int(np.searchsorted(self._first, document, side="right")) - 1]
        ends = np.load(part.surveyed / _NAME_ENDS, mmap_mode="r", allow_pickle=False)
        start, end = ends[document - part.shard.first : document - part.shard.first + 2].tolist()
        with (part.surveyed / _NAMES).open("rb") as names:
            names.seek(start)
            return names.read(end - start).decode()


class _Looks:
    """What is looked at in the documents of a corpus."""

    def __init__(self, rows: AssetRows, corpus: int, rules: MixtureRules) -> None:
        self._rules = rules
        self._conditions = {
            number: Condition(source.where, rows.schema, f"sources.{source.name}.where")
            for number, source in enumerate(rules.sources)
            if source.corpus == corpus and source.where
        }
        others = [n for n, source in enumerate(rules.sources) if source.corpus == corpus and not source.where]
        self._other = others[0] if others else IN_NONE
        self._column = NumberColumn(rules.by, rows.schema, "curriculum.by") if rules.by else None
        self.terms = KnownTerms()
        self.columns = {"id", "path", "split", "group", "bytes", *COLUMNS}
        self.columns |= set().union(*(each.columns for each in self._conditions.values()))
        self.columns |= {self._column.table_column} if self._column is not None else set()

    def at(self, batch: pa.RecordBatch) -> Rows:
        """The rows of a batch."""
        found = np.zeros(batch.num_rows, dtype=SURVEYED)
        found["source"] = self._sources(batch)
        found["side"] = [SPLITS.index(str(side)) for side in batch["split"].to_pylist()]
        found["size"] = np.asarray(batch["bytes"])
        for name in ("id", "group"):
            found[name] = [hash_of(str(each)) for each in batch[name].to_pylist()]
        found["terms"] = [self.terms.number(SourceTerms.of(row)) for row in batch.select(COLUMNS).to_pylist()]
        if self._column is not None:
            values = self._column.values(batch)
            found["value"] = -values if self._rules.descending else values
        return found

    def names_seen(self) -> dict[str, Any]:
        conditions = {str(number): each.names_seen() for number, each in self._conditions.items()}
        return {"conditions": conditions, "column": self._column.names_seen() if self._column is not None else []}

    def add_names(self, seen: Mapping[str, Any]) -> None:
        for number, each in self._conditions.items():
            each.add_names(seen["conditions"][str(number)])
        if self._column is not None:
            self._column.add_names(seen["column"])

    def require_names(self) -> None:
        for condition in self._conditions.values():
            condition.require_names()
        if self._column is not None:
            self._column.require_names()

    def _sources(self, batch: pa.RecordBatch) -> NDArray[np.int16]:
        found = np.full(batch.num_rows, IN_NONE, dtype=np.int16)
        for number, condition in self._conditions.items():
            true = np.asarray(condition.mask(batch))
            twice = np.flatnonzero(true & (found != IN_NONE))
            if len(twice):
                row = int(twice[0])
                names = [self._rules.sources[each].name for each in (int(found[row]), number)]
                raise UserError(
                    f"{batch['path'][row].as_py()} is in two sources: {' and '.join(names)}",
                    where=f"sources.{names[1]}.where",
                    hint="a document belongs to one source: add AND NOT (...) to one of the conditions",
                )
            found[true] = number
        found[found == IN_NONE] = self._other
        return found


def _first_id(shard: Shard) -> str:
    with pq.ParquetFile(shard.path, pre_buffer=False) as file:
        batch = next(file.iter_batches(1, row_groups=[shard.first_group], columns=["id"], use_threads=False))
        return str(batch["id"][0].as_py())
