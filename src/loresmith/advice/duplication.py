"""What of a corpus is there more than once, and so how much of it is different.

Different text is what is left of the documents that may be learnt from when copies are taken away: of near-identical
documents all but the longest, and in the others each paragraph that stands letter for letter before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from loresmith.advice.part import Part

if TYPE_CHECKING:
    import pyarrow as pa

SIMILAR = 0.7
"""Share of runs of five words that near-identical documents have in common: the default of `curate`."""


class Duplication(Part):
    """What is there more than once, of the documents that may be learnt from."""

    bytes: int = Field(description="UTF-8 bytes of these documents.")
    near_documents: int = Field(
        description="Documents that are near-identical to a longer one, which is not counted; and each further time "
        "that a mixture goes over one."
    )
    near_bytes: int = Field(description="Their bytes.")
    paragraph_bytes: int = Field(
        description="Bytes of paragraphs of 80 or more that stand before, in other documents than these."
    )
    line_bytes: int = Field(
        description="The same of lines of 40 bytes or more. Lines repeat by nature, above all "
        "in code: they are not taken away."
    )
    different_bytes: int = Field(description="What is left without near-identical documents and repeated paragraphs.")
    repeated: float = Field(description="Share of the bytes that is not different, from 0 to 1.")


Unit = Literal["paragraph", "line"]
Batches = Callable[[], Iterable["pa.RecordBatch"]]


def duplication(batches: Batches, work: Path) -> Duplication:
    """Look for copies.

    Args:
        batches: gives the columns `id`, `text` and `bytes` of the documents that may be learnt from, each time anew.
        work: a folder for intermediate files; made if need be, and to be removed afterwards.
    """
    from loresmith.data.duplicates.exact_duplicates import exact_duplicates
    from loresmith.data.duplicates.near_duplicates import near_duplicates
    from loresmith.data.duplicates.sketches import Sketches, write_sketches

    work.mkdir(parents=True, exist_ok=True)
    documents = write_sketches(_once(batches()), work / "sketches")
    near: set[str] = set()
    if documents > 1:
        found = near_duplicates(Sketches([work / "sketches"]), work / "near", SIMILAR)
        near = {str(name) for name in found["document"].to_pylist()}
    sums: dict[Unit, int] = {"paragraph": 0, "line": 0}
    for unit in sums:
        spans = _spans(exact_duplicates(_without(_once(batches()), near), work / unit, unit))
        waiting = next(spans, None)
        for row in _rows(_without(_once(batches()), near)):
            if waiting is not None and waiting[0] == row["id"]:
                sums[unit] += sum(len(row["text"][start:end].encode()) for start, end in waiting[1])
                waiting = next(spans, None)
    whole = near_bytes = near_documents = 0
    seen = set(near)
    for row in _rows(batches()):
        whole += row["bytes"]
        if row["id"] in seen:
            near_documents += 1
            near_bytes += row["bytes"]
        seen.add(row["id"])
    different = whole - near_bytes - sums["paragraph"]
    return Duplication(
        bytes=whole,
        near_documents=near_documents,
        near_bytes=near_bytes,
        paragraph_bytes=sums["paragraph"],
        line_bytes=sums["line"],
        different_bytes=different,
        repeated=1 - different / whole if whole else 0.0,
    )


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield from batch.to_pylist()


def _once(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Each document once: a mixture has a row for each time that it goes over one."""
    import pyarrow as pa

    seen: set[str] = set()
    for batch in batches:
        first = []
        for name in batch["id"].to_pylist():
            first.append(name not in seen)
            seen.add(str(name))
        yield batch.filter(pa.array(first, pa.bool_()))


def _without(batches: Iterable[pa.RecordBatch], near: set[str]) -> Iterator[pa.RecordBatch]:
    """The documents that stay: what stands in one that goes is not there before."""
    import pyarrow as pa

    for batch in batches:
        yield batch.filter(pa.array([name not in near for name in batch["id"].to_pylist()], pa.bool_()))


def _spans(table: pa.Table) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """The passages of each document, in the order of the documents."""
    rows = _rows(table.select(["document", "start", "end"]).to_batches())
    for document, some in groupby(rows, key=lambda row: str(row["document"])):
        yield document, [(row["start"], row["end"]) for row in some]
