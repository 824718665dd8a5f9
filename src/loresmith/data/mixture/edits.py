"""The edits of documents in a mixture: with them a span of a text leads back to its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from loresmith.data.engine.finished import once
from loresmith.data.engine.rows import Rows
from loresmith.data.engine.sorting import Sorting, read_rows_of
from loresmith.data.looking import EDITS
from loresmith.data.mixing import hash_of
from loresmith.data.mixture.joining import JOINED
from loresmith.data.mixture.survey import THERE_ALREADY, Part

_ELSEWHERE = np.dtype([("key", np.uint64)])


@dataclass(frozen=True)
class Kept:
    """The edits that are kept.

    Attributes:
        corpora: those that have edits, each with a file of the hashes of the ids that are in it, but are taken from
            a corpus before it; ascending.
        folder: made for the table.
    """

    corpora: tuple[tuple[Path, Path], ...]
    folder: Path


def elsewhere(parts: Sequence[Part], joined: Path, folder: Path, sorting: Sorting) -> tuple[tuple[Path, Path], ...]:
    """The corpora that have edits, as `Kept` has them."""
    numbers = {part.corpus: part.directory for part in parts if (part.directory / EDITS).exists()}
    folder.mkdir(exist_ok=True)
    found = []
    for number, corpus in numbers.items():
        mine = [part.shard for part in parts if part.corpus == number]
        first, after = mine[0].first, mine[-1].first + mine[-1].rows
        path = folder / f"{number}.rows"
        with path.open("wb") as file:
            for keys in sorting.different(_ids(read_rows_of(joined, JOINED, first, after))):
                file.write(keys.data)
        found.append((corpus, path))
    return tuple(found)


def keep_edits(kept: Kept) -> Path:
    """Write the edits of all documents that may be in the mixture."""

    def make(made: Path) -> None:
        schema = pq.read_schema(kept.corpora[0][0] / EDITS)
        with pq.ParquetWriter(made / EDITS, schema, compression="zstd") as writer:
            for corpus, path in kept.corpora:
                there = np.memmap(path, np.uint64, "r") if path.stat().st_size else np.empty(0, dtype=np.uint64)
                with pq.ParquetFile(corpus / EDITS, pre_buffer=False) as table:
                    for batch in table.iter_batches(4096, use_threads=False):
                        ids = np.array([hash_of(str(id_)) for id_ in batch["id"].to_pylist()], dtype=np.uint64)
                        writer.write_batch(batch.filter(pa.array(~_among(ids, there))))

    return once(kept.folder, make) / EDITS


def _ids(blocks: Iterator[Rows]) -> Iterator[NDArray[np.uint64]]:
    for rows in blocks:
        yield rows["id"][rows["source"] == THERE_ALREADY]


def _among(keys: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether a key is among known ones, which ascend."""
    if not len(known):
        return np.zeros(len(keys), dtype=bool)
    places = np.searchsorted(known, keys)
    places[places == len(known)] = 0
    return np.asarray(known[places] == keys)
