"""Documents, paragraphs and lines that stand somewhere before, letter for letter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from loresmith.data.duplicates.findings import FINDINGS, write_findings
from loresmith.data.duplicates.near_duplicates import MEMORY
from loresmith.data.duplicates.passages import Unit, passages
from loresmith.data.duplicates.sketches import texts_of
from loresmith.data.engine.rows import Rows
from loresmith.data.engine.spill import Spill

MINIMUM_BYTES: dict[Unit, int] = {"document": 1, "paragraph": 80, "line": 40}
"""From which length on, in bytes of UTF-8, a passage is looked at. Shorter lines, such as `else:`, repeat by nature."""

_IDS = pa.schema([("id", pa.string())])
_PASSAGE_ROWS = np.dtype(
    [("key", np.uint64), ("document", np.uint32), ("start", np.uint32), ("end", np.uint32), ("bytes", np.uint32)]
)
_FOUND_ROWS = np.dtype(
    [("key", np.uint64), ("document", np.uint32), ("kept", np.uint32), ("start", np.uint32), ("end", np.uint32)]
)
_WRITTEN_AT_ONCE = 1 << 16


def exact_duplicates(
    batches: Iterable[pa.RecordBatch], work: Path, unit: Unit, minimum_bytes: int | None = None, memory: int = MEMORY
) -> pa.Table:
    """Which passages stand before, in an earlier document or earlier in the same one.

    Two passages are the same if they are equally long and have the same hash of 64 bits: among a billion different
    ones, of equal length, two are taken for the same about three times in a hundred.

    Args:
        batches: columns `id` and `text`, in the order of the paths; one of them is in memory at a time.
        work: a folder for intermediate files and the table; made if need be.
        unit: what is compared. White space around a passage does not count.
        minimum_bytes: a passage with fewer bytes is left alone; None: `MINIMUM_BYTES` of the unit.
        memory: bytes of rows that are sorted at a time; ten times as much is used in all.

    Returns:
        `FINDINGS` of the kind of the unit, in the order of the documents; `kept` is the document that has the passage
        first, and is the document itself where it repeats itself.
    """
    work.mkdir(parents=True, exist_ok=True)
    shortest = MINIMUM_BYTES[unit] if minimum_bytes is None else minimum_bytes
    id_file = work / f"{unit}-ids.arrow"
    with Spill(work / f"{unit}-found", _FOUND_ROWS, memory) as found:
        with Spill(work / f"{unit}-passages", _PASSAGE_ROWS, memory) as spill:
            documents = _spill_passages(batches, id_file, unit, max(1, shortest), spill)
            shift = np.uint64(64 - max(1, documents.bit_length()))
            for part in spill.parts():
                again, first = _repeated(part)
                found.add(
                    key=again["document"].astype(np.uint64) << shift,
                    kept=first["document"],
                    **{name: again[name] for name in ("document", "start", "end")},
                )
        with pa.memory_map(str(id_file)) as mapped:
            ids = pyarrow.ipc.open_file(mapped).read_all().column("id")
        return write_findings(work / f"{unit}-duplicates.arrow", _findings(ids, found, unit))


def _spill_passages(batches: Iterable[pa.RecordBatch], id_file: Path, unit: Unit, shortest: int, spill: Spill) -> int:
    """Put aside all passages and the documents' ids; how many documents there are."""
    documents = 0
    with pa.OSFile(str(id_file), "wb") as file, pyarrow.ipc.new_file(file, _IDS) as ids:
        for batch in batches:
            ids.write_batch(pa.record_batch([batch.column("id").cast(pa.string())], schema=_IDS))
            texts = texts_of(batch)
            for some in passages(texts, unit, shortest):
                spill.add(
                    key=some.hashes,
                    document=some.owners + documents,
                    start=some.starts,
                    end=some.ends,
                    bytes=some.bytes,
                )
            documents += len(texts)
    return documents


def _repeated(part: Rows) -> tuple[Rows, Rows]:
    """The passages that stand before, and where each stood first."""
    order = np.lexsort((part["bytes"], part["key"]))  # stable: the order of the documents stays
    part = part[order]
    same = np.r_[False, (part["key"][1:] == part["key"][:-1]) & (part["bytes"][1:] == part["bytes"][:-1])]
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(part))))
    return part[same], part[first[same]]


def _findings(ids: pa.ChunkedArray[pa.StringScalar], found: Spill, unit: Unit) -> Iterator[pa.RecordBatch]:
    for part in found.parts():
        part = part[np.lexsort((part["start"], part["document"]))]
        for start in range(0, len(part), _WRITTEN_AT_ONCE):
            some = part[start : start + _WRITTEN_AT_ONCE]
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
