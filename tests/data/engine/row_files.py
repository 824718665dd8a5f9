"""Random rows, and the answers about them by the definition."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from loresmith.data.engine.engine import Tables
from loresmith.data.engine.rows import KEYED, PASSAGES, Rows, RowWriter

Row = tuple[int, ...]
"""key, document, and of a passage start and end."""


def random_rows(seed: int, count: int, files: int, frequent: float = 0.2) -> list[list[Row]]:
    """Passages of documents, ascending, divided among files between documents. One key has the share `frequent`."""
    chance = np.random.default_rng(seed)
    documents = np.sort(chance.integers(0, max(1, count // 3), count))
    keys = chance.integers(0, 1 << 64, max(1, count // 2), dtype=np.uint64)[
        chance.integers(0, max(1, count // 2), count)
    ]
    keys[chance.random(count) < frequent] = 7
    starts = np.arange(count) - np.searchsorted(documents, documents)
    rows = [tuple(row) for row in np.stack([documents, starts * 5, starts * 5 + 3], axis=1).tolist()]
    found: list[list[Row]] = [[] for _ in range(files)]
    for key, (document, start, end) in zip(keys.tolist(), rows, strict=True):
        found[document * files // max(1, count)].append((key, document, start, end))
    return found


def write_rows(folder: Path, files: Sequence[Sequence[Row]], dtype: np.dtype[np.void]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, rows in enumerate(files):
        paths.append(folder / f"{number:03}.parquet")
        width = len(dtype.names or ())
        columns = zip(*(row[:width] for row in rows), strict=True) if rows else [[] for _ in range(width)]
        with RowWriter(paths[-1], dtype) as writer:
            types = [dtype[name] for name in dtype.names or ()]
            arrays = [np.array(column, dtype=type_) for column, type_ in zip(columns, types, strict=True)]
            writer.add(**dict(zip(dtype.names or (), arrays, strict=True)))
    return paths


def listed(blocks: Iterable[Rows]) -> list[tuple[Any, ...]]:
    return [row for block in blocks for row in block.tolist()]


def common_by_definition(rows: Iterable[Row], at_least: int) -> list[int]:
    documents = defaultdict(set)
    for key, document, *_ in rows:
        documents[key].add(document)
    return sorted(key for key, some in documents.items() if len(some) >= at_least)


def repeated_by_definition(rows: Iterable[Row]) -> list[Row]:
    first: dict[int, int] = {}
    found = []
    for key, document, start, end in rows:
        if key in first:
            found.append((document, first[key], start, end))
        first.setdefault(key, document)
    return found


def neighbours_by_definition(rows: Iterable[Row]) -> list[Row]:
    documents = defaultdict(list)
    for key, document, *_ in rows:
        documents[key].append(document)
    pairs = set()
    for some in documents.values():
        for place in range(1, len(some)):
            pairs |= {(some[0], some[place]), (some[place - 1], some[place])}
    return sorted(pair for pair in pairs if pair[0] != pair[1])


def shared_by_definition(left: Iterable[Row], right: Iterable[Row]) -> list[Row]:
    owners = defaultdict(list)
    for key, document, *_ in left:
        owners[key].append(document)
    counts = Counter((one, document) for key, document, *_ in right for one in owners[key] if one < document)
    return sorted((*pair, count) for pair, count in counts.items())


def without_repetition(files: Sequence[Sequence[Row]]) -> list[list[Row]]:
    """Each key once in each document."""
    return [list({row[:2]: row for row in reversed(rows)}.values())[::-1] for rows in files]


def require_right_answers(tables: Tables, folder: Path, seed: int, count: int, files: int) -> None:
    """Ask everything of random rows, and compare with the definition."""
    some = random_rows(seed, count, files)
    rows = [row for file in some for row in file]
    keyed = write_rows(folder / "keyed", some, KEYED)
    for at_least in (1, 2, 5):
        assert tables.common_keys(keyed, at_least).tolist() == common_by_definition(rows, at_least)
    assert listed(tables.repeated(write_rows(folder / "passages", some, PASSAGES))) == repeated_by_definition(rows)
    assert listed(tables.neighbours(keyed)) == neighbours_by_definition(rows)
    right = without_repetition(some)
    left = [[row for row in file if row[1] % 3 == 0] for file in right]
    paths = [write_rows(folder / side, one, KEYED) for side, one in (("left", left), ("right", right))]
    assert listed(tables.shared(*paths)) == shared_by_definition(chain(*left), chain(*right))
