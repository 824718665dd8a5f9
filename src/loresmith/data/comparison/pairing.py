"""Which documents of one asset are which of another: by path, a few numbers for each, sorted on disk.

A document's id follows from the bytes of its file, so a changed file has another one: what stays is its path, with the
record in it. Where a path is there several times, documents with the same text are paired first, the others in order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from loresmith.data.asset_rows import AssetRows
from loresmith.data.engine.rows import Rows
from loresmith.data.engine.spill import Spill

Change = Literal["added", "removed", "changed", "moved", "relabelled"]
CHANGES: tuple[Change, ...] = ("added", "removed", "changed", "moved", "relabelled")
"""Of a pair several may hold: another text, another split, other labels."""

NOBODY = -1
"""Instead of the number of a document that the other side does not have."""

_NUMBERS = [(name, np.uint64) for name in ("key", "text", "split", "labels")]
_SIDED = np.dtype([*_NUMBERS, ("number", np.int64), ("bytes", np.int64), ("side", np.uint8)])
_MEMORY = 128 << 20


@dataclass
class Pairing:
    """What comparing came to.

    Attributes:
        same: documents in which nothing that is compared differs.
        counts, bytes: documents and bytes of each change; of the second asset, but for what was removed.
        first: of each change, the numbers of the first documents, in the first asset and in the second, from 0.
    """

    same: int = 0
    counts: dict[Change, int] = field(default_factory=lambda: dict.fromkeys(CHANGES, 0))
    bytes: dict[Change, int] = field(default_factory=lambda: dict.fromkeys(CHANGES, 0))
    first: dict[Change, list[tuple[int, int]]] = field(default_factory=lambda: {change: [] for change in CHANGES})


def pair_documents(one: AssetRows, other: AssetRows, limit: int, work: Path) -> Pairing:
    """Compare documents.

    Args:
        limit: how many of each change to name.
        work: a folder for what is in between; made, and removed.
    """
    result = Pairing()
    with Spill(work, _SIDED, _MEMORY) as spill:
        for side, asset in enumerate((one, other)):
            for columns in _numbers(asset):
                spill.add(**columns, side=np.full(len(columns["key"]), side, dtype=np.uint8))
        for part in spill.parts():
            _count(_paired(part), result, limit)
    return result


def place_name(row: dict[str, Any]) -> str:
    """What a document or a conversation is found again by."""
    return f"{row['path']}#L{row['line']}" if "line" in row else str(row["path"])


def _numbers(asset: AssetRows) -> Iterator[dict[str, NDArray[Any]]]:
    text = "messages" if asset.conversations else "text"
    usual = ("path", "line", text, "split", "labels", "bytes")
    columns = [name for name in usual if name in asset.schema.names]
    number = 0
    for batch in asset.batches(columns):
        rows = batch.to_pylist()
        yield {
            "key": _hashes(place_name(row) for row in rows),
            "text": _hashes(row[text] for row in rows),
            "split": _hashes(row.get("split", "") for row in rows),
            "labels": _hashes(json.dumps(sorted(row["labels"])) for row in rows),
            "number": np.arange(number, number + len(rows)),
            "bytes": np.array([row["bytes"] for row in rows], dtype=np.int64),
        }
        number += len(rows)


def _hashes(texts: Iterator[str]) -> NDArray[np.uint64]:
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _paired(part: Rows) -> tuple[Rows, Rows, NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows of the first and of the second asset, side by side, and which of them are there.

    First the same text of the same path, in order; then what is left of a path, in order.
    """
    part = part[np.lexsort((part["number"], part["side"], part["text"], part["key"]))]
    same = _ranked(part, ("key", "text"))
    left = part[~same]
    left = left[np.lexsort((left["number"], left["side"], left["key"]))]
    rest = _ranked(left, ("key",))
    ones = [part[same & (part["side"] == 0)], left[rest & (left["side"] == 0)]]
    others = [part[same & (part["side"] == 1)], left[rest & (left["side"] == 1)]]
    alone = left[~rest]
    removed, added = alone[alone["side"] == 0], alone[alone["side"] == 1]
    both = sum(map(len, ones))
    there = np.r_[np.ones(both + len(removed), dtype=bool), np.zeros(len(added), dtype=bool)]
    here = np.r_[np.ones(both, dtype=bool), np.zeros(len(removed), dtype=bool), np.ones(len(added), dtype=bool)]
    return np.concatenate([*ones, removed, added]), np.concatenate([*others, removed, added]), there, here


def _ranked(rows: Rows, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Whether a row has a partner: the n-th of its side that agrees in these fields has the n-th of the other side.

    Rows that agree stand together, those of the first side before those of the second.
    """
    if not len(rows):
        return np.zeros(0, dtype=bool)
    new = np.ones(len(rows), dtype=bool)
    new[1:] = np.logical_or.reduce([rows[name][1:] != rows[name][:-1] for name in names])
    group = np.cumsum(new) - 1
    of_first = np.bincount(group, weights=rows["side"] == 0).astype(np.int64)
    of_second = np.bincount(group).astype(np.int64) - of_first
    pairs = np.minimum(of_first, of_second)[group]
    within = np.arange(len(rows)) - np.flatnonzero(new)[group]
    rank = np.where(rows["side"] == 0, within, within - of_first[group])
    has_partner: NDArray[np.bool_] = rank < pairs
    return has_partner


def _count(paired: tuple[Rows, Rows, NDArray[np.bool_], NDArray[np.bool_]], result: Pairing, limit: int) -> None:
    one, other, there, here = paired
    both = there & here
    found: dict[Change, NDArray[np.bool_]] = {
        "added": ~there,
        "removed": ~here,
        "changed": both & (one["text"] != other["text"]),
        "moved": both & (one["split"] != other["split"]),
        "relabelled": both & (one["labels"] != other["labels"]),
    }
    result.same += int((both & ~(found["changed"] | found["moved"] | found["relabelled"])).sum())
    for change, is_so in found.items():
        result.counts[change] += int(is_so.sum())
        result.bytes[change] += int(other["bytes"][is_so].sum())
        numbers = np.stack(
            [np.where(there, one["number"], NOBODY)[is_so], np.where(here, other["number"], NOBODY)[is_so]], axis=1
        )
        by = 0 if change == "removed" else 1
        first = numbers[np.argsort(numbers[:, by], kind="stable")[:limit]]
        known = [*result.first[change], *((int(left), int(right)) for left, right in first.tolist())]
        result.first[change] = sorted(known, key=lambda pair: pair[by])[:limit]
