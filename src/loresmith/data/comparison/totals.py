"""What an asset holds, by language, media type, split and folder; and how its scores are distributed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from loresmith.data.asset_rows import SCORES, AssetRows
from loresmith.data.mixing import mix

_KINDS = ("language", "media_type", "split", "source")
_SAMPLE = 50_000


@dataclass
class Totals:
    """How much there is.

    Attributes:
        documents, bytes: in all.
        by: the same by value of each column; `folder` is the first of the path.
    """

    documents: int = 0
    bytes: int = 0
    by: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)


def totals_of(asset: AssetRows) -> Totals:
    """Count documents and bytes, without looking at texts."""
    kinds = [name for name in _KINDS if name in asset.schema.names]
    counts: dict[str, Counter[str]] = {name: Counter() for name in (*kinds, "folder")}
    sizes: dict[str, Counter[str]] = {name: Counter() for name in counts}
    result = Totals()
    for batch in asset.batches([*kinds, "path", "bytes"], 4096):
        for row in batch.to_pylist():
            result.documents += 1
            result.bytes += row["bytes"]
            row["folder"] = row["path"].partition("/")[0] if "/" in row["path"] else ""
            for name in counts:
                counts[name][row[name]] += 1
                sizes[name][row[name]] += row["bytes"]
    result.by = {
        name: {value: (count, sizes[name][value]) for value, count in sorted(found.items())}
        for name, found in counts.items()
    }
    return result


@dataclass(frozen=True)
class Distribution:
    """How the values of a score are distributed over all documents that were scored.

    Attributes:
        count: how many have it.
        low, middle, high: a tenth of them, half of them and nine tenths of them are not above it; of more than 50,000
            values, as a sample of so many has it.
    """

    count: int
    low: float
    middle: float
    high: float


def distributions(directory: Path) -> Mapping[str, Distribution]:
    """The distribution of every score, by name; and of every flag, how many documents have it, as `flag NAME`.

    There is none where there is no scores.parquet.
    """
    if not (directory / SCORES).exists():
        return {}
    samples: dict[str, _Sample] = {}
    flags: Counter[str] = Counter()
    first = 0
    with pq.ParquetFile(directory / SCORES, pre_buffer=False) as table:
        for batch in table.iter_batches(4096, columns=["scores", "flags"], use_threads=False):
            _add_scores(batch.column("scores"), first, samples)
            for name in pc.list_flatten(batch.column("flags")).to_pylist():
                flags[str(name)] += 1
            first += batch.num_rows
    found = {name: sample.distribution() for name, sample in sorted(samples.items())}
    return found | {f"flag {name}": Distribution(count, 1.0, 1.0, 1.0) for name, count in sorted(flags.items())}


class _Sample:
    """The values with the smallest of random numbers that follow from the rows they stand in."""

    def __init__(self) -> None:
        self.count = 0
        self._values: list[NDArray[np.float64]] = []
        self._places: list[NDArray[np.uint64]] = []
        self._held = 0

    def add(self, values: NDArray[np.float64], places: NDArray[np.uint64]) -> None:
        self.count += len(values)
        self._values.append(values)
        self._places.append(places)
        self._held += len(values)
        if self._held > 2 * _SAMPLE:
            self._thin_out()

    def distribution(self) -> Distribution:
        self._thin_out()
        values = np.sort(self._values[0])
        low, middle, high = (float(values[round(share * (len(values) - 1))]) for share in (0.1, 0.5, 0.9))
        return Distribution(self.count, low, middle, high)

    def _thin_out(self) -> None:
        values, places = np.concatenate(self._values), np.concatenate(self._places)
        if len(values) > _SAMPLE:
            kept = np.argpartition(places, _SAMPLE)[:_SAMPLE]
            values, places = values[kept], places[kept]
        self._values, self._places, self._held = [values], [places], len(values)


def _add_scores(column: Any, first: int, samples: dict[str, _Sample]) -> None:
    """Add the values of a column of mappings, whose first row has this number."""
    lists = column.cast(pa.list_(pa.struct([("key", pa.string()), ("value", pa.float64())])))
    flat: Any = pc.list_flatten(lists)
    rows = np.asarray(pc.list_parent_indices(lists)).astype(np.uint64) + np.uint64(first)
    names, values = flat.field(0).dictionary_encode(), np.asarray(flat.field(1))
    indices = np.asarray(names.indices)
    for index, name in enumerate(names.dictionary.to_pylist()):
        chosen = (indices == index) & ~np.isnan(values)
        if chosen.any():
            samples.setdefault(str(name), _Sample()).add(values[chosen], mix(rows[chosen]))
