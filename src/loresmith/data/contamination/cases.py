"""The cases of all suites on disk, in blocks of which an index fits in memory, and what too many of them share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from loresmith.data.contamination.case_index import (
    CASE_COLUMNS,
    MOST_CASES,
    Case,
    CaseIndex,
    Rule,
    Standing,
    added,
    case_of,
    divided,
)
from loresmith.data.engine.engine import Engine
from loresmith.data.engine.finished import once
from loresmith.data.engine.rows import KEYED, RowWriter

_SHARE = 4
"""Of a worker's memory, an index takes one part in so many."""

_FEWEST, _MOST = 16 << 20, 512 << 20
"""Bytes that an index may take."""

_ROWS = 1024
_CASES, _KEYS, _COMMON = "cases.arrow", "keys.parquet", "common.npy"


@dataclass(frozen=True)
class Block:
    """Some of the cases.

    Attributes:
        folder: with the cases.
        first: how many cases there are before them.
        rule: when one counts as found.
    """

    folder: Path
    first: int
    rule: Rule

    def __str__(self) -> str:
        return f"cases from {self.first}"


def case_blocks(
    batches: Iterable[pa.RecordBatch], rule: Rule, folder: Path, engine: Engine, memory: int | None = None
) -> list[Block]:
    """Divide all cases into blocks.

    How they are divided makes no difference to what is found: what is common is counted over all blocks.

    Args:
        batches: under `CASE_COLUMNS`.
        folder: for the blocks; what is found in it was made of the same cases.
        memory: bytes that an index may take; None: as many as the engine's workers have for it.
    """
    if memory is None:
        memory = min(_MOST, max(_FEWEST, engine.memory // (engine.workers + 1) // _SHARE))
    folder = folder / str(memory)
    blocks: list[Block] = []
    first = 0
    for cases in divided(batches, memory):
        blocks.append(Block(once(folder / f"{first:09d}", partial(_write, cases)), first, rule))
        first += len(cases)

    def find_common(made: Path) -> None:
        files = list(engine.map(list_keys, blocks))
        np.save(made / _COMMON, engine.tables.common_keys(files, MOST_CASES + 1), allow_pickle=False)

    once(folder / "common", find_common)
    return blocks


def list_keys(block: Block) -> Path:
    """What may be common to cases (a file of `KEYED`, with the cases' numbers)."""

    def make(folder: Path) -> None:
        index = added(CaseIndex(block.rule, np.empty(0, dtype=np.uint64)), _read(block))
        with RowWriter(folder / _KEYS, KEYED) as rows:
            for keys, cases in index.shareable():
                rows.add(key=keys, document=cases + np.uint32(block.first))

    return once(block.folder.with_name(f"{block.folder.name}-keys"), make) / _KEYS


@lru_cache(maxsize=1)
def index_of(block: Block) -> CaseIndex:
    """The index of a block; the last one is kept."""
    common = np.load(block.folder.with_name("common") / _COMMON, allow_pickle=False)
    return added(CaseIndex(block.rule, common), _read(block)).close()


def standings(block: Block) -> Counter[tuple[str, Standing]]:
    """How many cases of each suite can be found."""
    index = index_of(block)
    return Counter((suite, how) for (suite, _), how in zip(index.names, index.standings, strict=True))


def _write(cases: Sequence[Case], folder: Path) -> None:
    with pa.OSFile(str(folder / _CASES), "wb") as file, pyarrow.ipc.new_file(file, CASE_COLUMNS) as writer:
        for start in range(0, len(cases), _ROWS):
            columns = zip(*cases[start : start + _ROWS], strict=True)
            made = [pa.array(column, type_) for column, type_ in zip(columns, CASE_COLUMNS.types, strict=True)]
            writer.write_batch(pa.record_batch(made, schema=CASE_COLUMNS))


def _read(block: Block) -> Iterator[Case]:
    with pa.memory_map(str(block.folder / _CASES)) as mapped:
        reader = pyarrow.ipc.open_file(mapped)
        for number in range(reader.num_record_batches):
            yield from map(case_of, reader.get_batch(number).to_pylist())
