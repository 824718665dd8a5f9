"""Documents, paragraphs and lines that stand somewhere before, letter for letter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from loresmith.data.duplicates.findings import FINDINGS, write_findings
from loresmith.data.duplicates.passages import Unit, passages
from loresmith.data.duplicates.sketches import texts_of
from loresmith.data.engine.engine import Tables
from loresmith.data.engine.native_tables import own_tables
from loresmith.data.engine.rows import PASSAGES, Rows, RowWriter

MINIMUM_BYTES: dict[Unit, int] = {"document": 1, "paragraph": 80, "line": 40}
"""From which length on, in bytes of UTF-8, a passage is looked at. Shorter lines, such as `else:`, repeat by nature."""

_IDS = pa.schema([("id", pa.string())])
_WRITTEN_AT_ONCE = 1 << 16


def exact_duplicates(
    batches: Iterable[pa.RecordBatch],
    work: Path,
    unit: Unit,
    tables: Tables | None = None,
    minimum_bytes: int | None = None,
) -> pa.Table:
    """Which passages stand before, in an earlier document or earlier in the same one.

    Two passages are the same if they have the same hash of 64 bits: among a billion different ones, two are taken for
    the same about three times in a hundred.

    Args:
        batches: columns `id` and `text`, in the order of the paths; one of them is in memory at a time.
        work: a folder for intermediate files and the table; made if need be.
        unit: what is compared. White space around a passage does not count.
        tables: finds the passages that have the same hash; None: our own, in 256 MiB.
        minimum_bytes: a passage with fewer bytes is left alone; None: `MINIMUM_BYTES` of the unit.

    Returns:
        `FINDINGS` of the kind of the unit, in the order of the documents; `kept` is the document that has the passage
        first, and is the document itself where it repeats itself.
    """
    work.mkdir(parents=True, exist_ok=True)
    shortest = MINIMUM_BYTES[unit] if minimum_bytes is None else minimum_bytes
    id_file, row_file = work / f"{unit}-ids.arrow", work / f"{unit}-passages.parquet"
    _write_passages(batches, id_file, row_file, unit, max(1, shortest))
    with pa.memory_map(str(id_file)) as mapped:
        ids = pyarrow.ipc.open_file(mapped).read_all().column("id")
    repeated = (tables or own_tables(work)).repeated([row_file])
    found = write_findings(work / f"{unit}-duplicates.arrow", _findings(ids, repeated, unit))
    row_file.unlink()
    return found


def _write_passages(
    batches: Iterable[pa.RecordBatch], id_file: Path, row_file: Path, unit: Unit, shortest: int
) -> None:
    documents = 0
    with (
        pa.OSFile(str(id_file), "wb") as file,
        pyarrow.ipc.new_file(file, _IDS) as ids,
        RowWriter(row_file, PASSAGES) as rows,
    ):
        for batch in batches:
            ids.write_batch(pa.record_batch([batch.column("id").cast(pa.string())], schema=_IDS))
            texts = texts_of(batch)
            for some in passages(texts, unit, shortest):
                rows.add(key=some.hashes, document=some.owners + documents, start=some.starts, end=some.ends)
            documents += len(texts)


def _findings(ids: pa.ChunkedArray[pa.StringScalar], found: Iterator[Rows], unit: Unit) -> Iterator[pa.RecordBatch]:
    for block in found:
        for start in range(0, len(block), _WRITTEN_AT_ONCE):
            some = block[start : start + _WRITTEN_AT_ONCE]
            whole = np.full(len(some), unit == "document")
            columns = [
                ids.take(pa.array(some["document"])).combine_chunks(),
                ids.take(pa.array(some["kept"])).combine_chunks(),
                pa.array([unit] * len(some), pa.string()),
                pa.array(np.ones(len(some))),
                pa.array(some["start"].astype(np.int64), mask=whole),
                pa.array(some["end"].astype(np.int64), mask=whole),
            ]
            yield pa.record_batch(columns, schema=FINDINGS)
