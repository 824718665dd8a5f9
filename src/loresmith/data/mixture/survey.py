"""What there is to mix: a few numbers for every document of all corpora, about 40 bytes each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loresmith.data.asset_rows import AssetRows
from loresmith.data.conditions.condition import Condition
from loresmith.data.conditions.numbers import NumberColumn
from loresmith.data.mixture.settings import MixtureRules
from loresmith.data.observer import Observer, safe_point
from loresmith.data.shards import SPLITS
from loresmith.errors import UserError

IN_NONE, THERE_ALREADY = -1, -2
"""Instead of a source: the document is in no source; or it has the id of one before it."""

_BATCH = 4096


@dataclass
class Survey:
    """What there is, by the number of each document.

    Attributes:
        first: the number of the first document of each corpus, and behind the last of all.
        sources: int16, the number of its source, or `IN_NONE` or `THERE_ALREADY`.
        sides: int8, the number of its split.
        sizes: int64, bytes of text.
        ids, groups, rights: uint64, hashes of them; of rights, with the size of the text.
        values: float64, of the column that the order goes by; None: there is none.
    """

    first: list[int] = field(default_factory=lambda: [0])
    sources: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, dtype=np.int16))
    sides: NDArray[np.int8] = field(default_factory=lambda: np.empty(0, dtype=np.int8))
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    ids: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    rights: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    groups: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    values: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.sources)


def survey(corpora: Sequence[Path], rules: MixtureRules, observer: Observer) -> Survey:
    """Look at all documents, without their texts unless a condition is on them.

    Raises:
        UserError: a document is in two sources, or a condition or a column means nothing.
    """
    result = Survey()
    parts: dict[str, list[NDArray[Any]]] = {
        name: [] for name in ("sources", "sides", "sizes", "ids", "groups", "rights", "values")
    }
    done = 0
    for number, corpus in enumerate(corpora):
        for some in _looked_at(AssetRows(corpus, called=rules.corpora[number]), number, rules):
            for name, values in some.items():
                parts[name].append(values)
            done += len(some["ids"])
            safe_point(observer, done, None, "documents looked at")
        result.first.append(done)
    for name, some_values in parts.items():
        if some_values:
            setattr(result, name, np.concatenate(some_values))
    _, first = np.unique(result.ids, return_index=True)
    again = np.ones(len(result), dtype=bool)
    again[first] = False
    _require_agreement(result, again)
    result.sources[again & (result.sources != IN_NONE)] = THERE_ALREADY
    return result


def _require_agreement(found: Survey, again: NDArray[np.bool_]) -> None:
    """Raise UserError if a document that is there twice has other text or other rights the second time."""
    _, first, places = np.unique(found.ids, return_index=True, return_inverse=True)
    differ = again & (found.rights != found.rights[first][places])
    if differ.any():
        raise UserError(
            f"{int(differ.sum())} documents are in two of the corpora, with another text, other labels or other uses",
            hint="make the corpora with the same masks and labels, or of different documents",
        )


def hash_of(name: str) -> int:
    """A number from 0 to 2**64 - 1 for a name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def _looked_at(rows: AssetRows, corpus: int, rules: MixtureRules) -> Iterator[dict[str, NDArray[Any]]]:
    if missing := sorted({"split", "group"} - set(rows.schema.names)):
        raise UserError(f"this is no corpus: it has no column {missing[0]!r}", where=rules.corpora[corpus])
    conditions = {
        number: Condition(source.where, rows.schema, f"sources.{source.name}.where")
        for number, source in enumerate(rules.sources)
        if source.corpus == corpus and source.where
    }
    others = [n for n, source in enumerate(rules.sources) if source.corpus == corpus and not source.where]
    column = NumberColumn(rules.by, rows.schema, "curriculum.by") if rules.by else None
    needed = {"labels", "uses"}.intersection(rows.schema.names)
    needed |= {"id", "path", "split", "group", "bytes"}.union(*(each.columns for each in conditions.values()))
    needed |= {column.table_column} if column is not None else set()
    for batch in rows.batches(sorted(needed), 256 if "text" in needed else _BATCH):
        found: dict[str, NDArray[Any]] = {
            "sources": _sources(batch, conditions, others[0] if others else IN_NONE, rules),
            "sides": np.array([SPLITS.index(str(side)) for side in batch["split"].to_pylist()], dtype=np.int8),
            "sizes": np.asarray(batch["bytes"]),
            "ids": np.array([hash_of(str(id_)) for id_ in batch["id"].to_pylist()], dtype=np.uint64),
            "groups": np.array([hash_of(str(group)) for group in batch["group"].to_pylist()], dtype=np.uint64),
        }
        told = batch.select([name for name in ("bytes", "labels", "uses") if name in needed]).to_pylist()
        found["rights"] = np.array([hash_of(repr(sorted(row.items()))) for row in told], dtype=np.uint64)
        if column is not None:
            found["values"] = -column.values(batch) if rules.descending else column.values(batch)
        yield found
    for condition in conditions.values():
        condition.require_names()
    if column is not None:
        column.require_names()


def _sources(
    batch: pa.RecordBatch, conditions: Mapping[int, Condition], other: int, rules: MixtureRules
) -> NDArray[np.int16]:
    found = np.full(batch.num_rows, IN_NONE, dtype=np.int16)
    for number, condition in conditions.items():
        true = np.asarray(condition.mask(batch))
        twice = np.flatnonzero(true & (found != IN_NONE))
        if len(twice):
            row = int(twice[0])
            names = [rules.sources[each].name for each in (int(found[row]), number)]
            raise UserError(
                f"{batch['path'][row].as_py()} is in two sources: {' and '.join(names)}",
                where=f"sources.{names[1]}.where",
                hint="a document belongs to one source: add AND NOT (...) to one of the conditions",
            )
        found[true] = number
    found[found == IN_NONE] = other
    return found
