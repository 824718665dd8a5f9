"""What of which case was found in which document of a corpus, on disk and in short."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from loresmith.data.contamination.case_index import Rule, Standing
from loresmith.data.contamination.cases import Block, case_blocks, index_of, standings
from loresmith.data.contamination.overlaps import find_overlaps
from loresmith.data.engine.engine import Engine
from loresmith.data.engine.finished import once
from loresmith.data.engine.shards import Shard, read_shard, require_columns, shards
from loresmith.data.mixing import hash_of
from loresmith.data.observer import Observer, safe_point
from loresmith.data.tables import TableWriter

_DOCUMENT: list[tuple[str, pa.DataType]] = [(name, pa.string()) for name in ("id", "path", "split")]
_CASE: list[tuple[str, pa.DataType]] = [(name, pa.string()) for name in ("suite", "case", "kind")]
FINDING_COLUMNS = pa.schema(
    [("number", pa.int64()), *_DOCUMENT, *_CASE, ("score", pa.float64()), ("start", pa.int64()), ("end", pa.int64())]
)
"""A row for each stretch of a document that a case is in, ordered by document, then by where it begins.

`number` is the document's place in the corpus, from 0; `start` and `end` are the first character of the stretch in its
text and the one after the last. `kind` is `exact` (the same words one after the other) or `near` (other wording), and
`score` the share of the case that is there, from 0 to 1.
"""

SHARD_BYTES = 32 << 20
"""Text of a shard."""

MOST_DOCUMENTS = 10
"""Documents that may hold all of a case of a few words before it counts as ordinary wording. Brown et al. leave runs of
words alone that stand in more."""

_COLUMNS = ("id", "path", "split", "text")
_FOUND_COLUMNS = FINDING_COLUMNS.append(pa.field("mistakable", pa.bool_()))
"""With whether all of the case may be ordinary wording (`Rule.is_mistakable`)."""
_TABLE = "findings.parquet"

Cases = Callable[[], Iterable[pa.RecordBatch]]
"""Gives the cases of all suites, under `CASE_COLUMNS`."""


@dataclass
class CaseFound:
    """A case that documents hold: how (`exact` where it is anywhere), the largest share of it, and in how many."""

    kind: str
    score: float
    documents: int


@dataclass
class SuiteFound:
    """What was found of a suite.

    Attributes:
        cases: how many it has, by whether they could be found at all.
        found: those that were, by name.
        documents: how many documents hold any of them.
    """

    cases: dict[Standing, int] = field(
        default_factory=lambda: {"judged": 0, "too short": 0, "shared wording": 0, "ordinary wording": 0}
    )
    found: dict[str, CaseFound] = field(default_factory=dict)
    documents: int = 0

    def facts(self) -> dict[str, Any]:
        """In numbers, for reports and metadata."""
        kinds = [case.kind for case in self.found.values()]
        return {
            "cases": sum(self.cases.values()),
            "judged": self.cases["judged"],
            "too_short": self.cases["too short"],
            "shared_wording": self.cases["shared wording"],
            "ordinary_wording": self.cases["ordinary wording"],
            "exact": kinds.count("exact"),
            "near": kinds.count("near"),
            "documents": self.documents,
        }


@dataclass(frozen=True)
class Findings:
    """All that was found in a corpus.

    Attributes:
        shards: of the corpus.
        folders: of each block of cases; in it, a shard has a folder of its own with a table of what is there.
        suites: by suite; those of which nothing was found, too.
        ordinary: the cases, as suite and name, whose words are ordinary wording, and say nothing.
    """

    shards: Sequence[Shard]
    folders: Sequence[Path]
    suites: Mapping[str, SuiteFound]
    ordinary: AbstractSet[tuple[str, str]]

    def rows(self) -> Iterator[dict[str, Any]]:
        """All rows, ordered by document, then by where they begin."""
        return itertools.chain.from_iterable(found_in(self.folders, shard, self.ordinary) for shard in self.shards)

    def by_document(self) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """The rows of each document that has any, with its number."""
        return by_document(self.rows())


def look(
    corpus: Path,
    cases: Cases,
    rule: Rule,
    splits: Collection[str],
    work: Path,
    engine: Engine,
    observer: Observer,
    suites: Iterable[str],
) -> Findings:
    """Look for cases in a corpus.

    Args:
        corpus: a `corpus` asset.
        cases: of all suites; where they do not fit an index, the corpus is read once for each.
        rule: when a case counts as found.
        splits: which documents are looked at.
        work: a folder for the tables; what is found in it was made by the same search before it was stopped.
        suites: their digests, so that one of which nothing is found is in the result.

    Raises:
        UserError: this is no corpus.
    """
    require_columns(corpus, _COLUMNS)
    work.mkdir(parents=True, exist_ok=True)
    parts = shards(corpus, SHARD_BYTES)
    documents = sum(shard.rows for shard in parts)
    found = {suite: SuiteFound() for suite in suites}
    blocks = case_blocks(cases(), rule, work / "cases", engine)

    def tick() -> None:
        if observer.stop_requested():
            observer.stopped()

    for counts in engine.map(standings, blocks, tick):
        for (suite, standing), count in counts.items():
            found[suite].cases[standing] += count
    folders = []
    for block in blocks:
        folders.append(work / "found" / f"{block.folder.parent.name}-{block.folder.name}")
        stage = partial(find, block=block, splits=tuple(splits), folder=folders[-1])
        done = 0
        for shard, _ in zip(parts, engine.map(stage, parts, tick), strict=True):
            done += shard.rows
            safe_point(observer, done, documents, "documents")
    index_of.cache_clear()
    ordinary = _ordinary(folders, parts)
    for suite, _ in ordinary:
        found[suite].cases["judged"] -= 1
        found[suite].cases["ordinary wording"] += 1
    findings = Findings(parts, folders, found, ordinary)
    for _, rows in findings.by_document():
        for suite in {row["suite"] for row in rows}:
            found[suite].documents += 1
        for suite, case in {(row["suite"], row["case"]) for row in rows}:
            here = [row for row in rows if (row["suite"], row["case"]) == (suite, case)]
            known = found[suite].found.setdefault(case, CaseFound("near", 0.0, 0))
            known.kind = "exact" if "exact" in (known.kind, *(row["kind"] for row in here)) else "near"
            known.score = max(known.score, *(row["score"] for row in here))
            known.documents += 1
    return findings


def find(shard: Shard, block: Block, splits: Collection[str], folder: Path) -> None:
    """Look for the cases of a block in a shard; what is found stands in a folder of its own."""

    def make(made: Path) -> None:
        with TableWriter(made / _TABLE, _FOUND_COLUMNS) as table:
            for row in _found(shard, block, splits):
                table.add(row)

    once(folder / shard.name, make)


def found_in(folders: Sequence[Path], shard: Shard, ordinary: AbstractSet[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """What was found in a shard of the cases of all blocks, ordered by document, then by where they begin; not of those
    that are `Findings.ordinary`."""
    tables = (_rows(folder / shard.name / _TABLE) for folder in folders)
    for row in heapq.merge(*tables, key=lambda row: (row["number"], row["start"], row["end"])):
        if (row["suite"], row["case"]) not in ordinary:
            yield {name: row[name] for name in FINDING_COLUMNS.names}


def _ordinary(folders: Sequence[Path], parts: Sequence[Shard]) -> frozenset[tuple[str, str]]:
    """The cases of a few words that too many documents hold; one that a mixture repeats is one."""
    holding: dict[tuple[str, str], set[int]] = {}
    for folder, shard in itertools.product(folders, parts):
        for row in _rows(folder / shard.name / _TABLE):
            if row["mistakable"]:
                documents = holding.setdefault((row["suite"], row["case"]), set())
                if len(documents) <= MOST_DOCUMENTS:
                    documents.add(hash_of(row["id"]))
    return frozenset(case for case, documents in holding.items() if len(documents) > MOST_DOCUMENTS)


def by_document(found: Iterable[dict[str, Any]]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """The rows of each document that has any, with its number."""
    for number, rows in itertools.groupby(found, key=lambda row: int(row["number"])):
        yield number, list(rows)


def _found(shard: Shard, block: Block, splits: Collection[str]) -> Iterator[dict[str, Any]]:
    index = index_of(block)
    first = shard.first
    for batch in read_shard(shard, _COLUMNS):
        rows = batch.to_pylist()
        looked_at = [place for place, row in enumerate(rows) if row["split"] in splits]
        for overlap in find_overlaps([rows[place]["text"] for place in looked_at], index):
            place = looked_at[overlap.text]
            suite, case = index.names[overlap.case]
            yield {
                **{name: rows[place][name] for name in ("id", "path", "split")},
                "number": first + place,
                "suite": suite,
                "case": case,
                "kind": overlap.kind,
                "score": overlap.score,
                "start": overlap.start,
                "end": overlap.end,
                "mistakable": index.rule.is_mistakable(index.sizes[overlap.case]),
            }
        first += len(rows)


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with pyarrow.parquet.ParquetFile(file, pre_buffer=False) as table:
        for batch in table.iter_batches(4096, use_threads=False):
            yield from batch.to_pylist()
