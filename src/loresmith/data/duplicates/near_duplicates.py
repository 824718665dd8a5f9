"""Near-identical documents in a corpus of any size.

Candidates are documents whose MinHash signatures agree in a band (locality-sensitive hashing; Leskovec, Rajaraman and
Ullman, "Mining of Massive Datasets", chapter 3). Candidates whose signatures say that they might be similar enough are
compared by their true sets of shingles, so that what is reported is so. Clusters are transitive.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loresmith.data.duplicates.clusters import Clusters, band_keys
from loresmith.data.duplicates.findings import FINDINGS, write_findings
from loresmith.data.duplicates.minhash import HASHES, similarity
from loresmith.data.duplicates.sketches import Sketches
from loresmith.data.engine.engine import Tables
from loresmith.data.engine.native_tables import own_tables
from loresmith.data.engine.rows import KEYED, RowWriter
from loresmith.data.mixing import mix

_DOUBT = 3.0
"""Standard errors by which an estimate may be short of the threshold and the pair still be compared: one similar pair
in a thousand is missed for it."""
_COMPARED_AT_ONCE = 1 << 14
_WRITTEN_AT_ONCE = 1 << 14


def near_duplicates(sketches: Sketches, work: Path, threshold: float, tables: Tables | None = None) -> pa.Table:
    """Which documents are near-identical to one that is kept.

    Of a cluster the longest document in bytes is kept, of equally long ones the first. The similarity in the table is
    the true one to the document that is kept; it may be below the threshold where documents are connected by others
    that are between them.

    Args:
        sketches: of all documents.
        work: a folder for intermediate files and the table; made if need be.
        threshold: Jaccard similarity of the sets of shingles from which on two documents are near-identical, from 0 to
            1. Below 0.5 locality-sensitive hashing misses too many to be of use.
        tables: finds documents that share a band; None: our own, in 256 MiB. In memory there are, besides, 24 bytes a
            document, what clusters hold, and 32 MiB of sketches.

    Returns:
        `FINDINGS` of kind "near", in the order of the documents.
    """
    work.mkdir(parents=True, exist_ok=True)
    bands = work / "bands.parquet"
    _write_bands(sketches, bands)
    clusters = Clusters()
    for left, right in _likely_pairs(sketches, bands, threshold, tables or own_tables(work)):
        if clusters.find(left) != clusters.find(right) and sketches.jaccard(left, right) >= threshold:
            clusters.join(left, right)
    bands.unlink()
    return write_findings(work / "near-duplicates.arrow", _findings(sketches, clusters))


def _write_bands(sketches: Sketches, path: Path) -> None:
    with RowWriter(path, KEYED) as rows:
        for first, signatures in sketches.signature_blocks():
            keys = band_keys(signatures)
            different = mix(keys + np.arange(len(keys), dtype=np.uint64)[:, None])
            numbers = np.arange(first, first + len(signatures), dtype=np.uint32)
            rows.add(key=different.T.ravel(), document=np.repeat(numbers, len(keys)))


def _likely_pairs(sketches: Sketches, bands: Path, threshold: float, tables: Tables) -> Iterator[tuple[int, int]]:
    """The pairs that share a band and whose signatures do not speak against them."""
    least = threshold - _DOUBT * float(np.sqrt(threshold * (1 - threshold) / HASHES))
    for block in tables.neighbours([bands]):
        for start in range(0, len(block), _COMPARED_AT_ONCE):
            some = block[start : start + _COMPARED_AT_ONCE]
            left, right = some["left"].astype(np.int64), some["right"].astype(np.int64)
            likely = similarity(sketches.signatures(left), sketches.signatures(right)) >= least
            yield from zip(left[likely].tolist(), right[likely].tolist(), strict=True)


def _findings(sketches: Sketches, clusters: Clusters) -> Iterator[pa.RecordBatch]:
    keepers: dict[int, int] = {}
    for members in clusters.joined().values():
        kept = max(members, key=lambda number: (int(sketches.bytes[number]), -number))
        keepers.update((member, kept) for member in members if member != kept)
    documents = np.array(sorted(keepers), dtype=np.int64)
    for start in range(0, len(documents), _WRITTEN_AT_ONCE):
        some = documents[start : start + _WRITTEN_AT_ONCE]
        kept_ones = np.array([keepers[number] for number in some.tolist()], dtype=np.int64)
        alike = [sketches.jaccard(*pair) for pair in zip(some.tolist(), kept_ones.tolist(), strict=True)]
        yield whole_documents(sketches, some, kept_ones, "near", alike)


def whole_documents(
    sketches: Sketches, documents: NDArray[np.int64], kept: NDArray[np.int64], kind: str, similarities: list[float]
) -> pa.RecordBatch:
    """Findings about whole documents, given by their numbers."""
    nothing = pa.nulls(len(documents), pa.int64())
    columns = [
        sketches.ids(documents).combine_chunks(),
        sketches.ids(kept).combine_chunks(),
        pa.array([kind] * len(documents), pa.string()),
        pa.array(similarities, pa.float64()),
        nothing,
        nothing,
    ]
    return pa.record_batch(columns, schema=FINDINGS)
