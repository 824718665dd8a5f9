"""Reading a `corpus` asset: Parquet tables of documents, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loresmith.data.retention import require_in_time, today
from loresmith.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_DOCUMENTS = 256


def require_use(directory: Path, use: str, on: date | None = None) -> None:
    """Make sure that all documents of an asset may still be kept, and used in a way (`train`, `evaluate`, `retrieve`).

    Args:
        on: the day on which they are to be used; None: today.

    Raises:
        UserError: some may not.
    """
    import pyarrow.dataset as ds

    table = ds.dataset([str(file) for file in sorted(directory.glob("documents-*.parquet"))], format="parquet")
    if "uses" not in table.schema.names:
        return  # an earlier version made it, which curated for training alone
    refused = 0
    for batch in table.to_batches(columns=["uses"], use_threads=False):
        refused += sum(use not in (uses or ()) for uses in batch.column("uses").to_pylist())
    if refused:
        raise UserError(
            f"{refused} of these documents may not be used to {use}",
            where=str(directory),
            hint=f"curate them with `use: {use}`, which leaves such documents out",
        )
    require_in_time(directory, on or today())


def allowed_documents(directory: Path, columns: Sequence[str], split: str, use: str) -> Iterator[dict[str, Any]]:
    """The documents of a split of a corpus, row by row, with `allowed`: whether each may be used in a way.

    Of a corpus of an earlier version, which curated for all uses, each may.

    Raises:
        UserError: as `read_documents`.
    """
    import pyarrow.dataset as ds

    files = [str(file) for file in sorted(directory.glob("documents-*.parquet"))]
    stated = bool(files) and "uses" in ds.dataset(files, format="parquet").schema.names
    for batch in read_documents(directory, [*columns, "uses"] if stated else columns, split):
        for row in batch.to_pylist():
            yield {**row, "allowed": use in row.pop("uses") if stated else True}


def read_documents(
    directory: Path, columns: Sequence[str], split: str | None = None, batch_documents: int = BATCH_DOCUMENTS
) -> Iterator[pa.RecordBatch]:
    """The documents of an asset in their order, a batch at a time.

    Args:
        directory: a `documents` or `corpus` asset.
        columns: which columns are wanted.
        split: only the documents of this split.
        batch_documents: documents in a batch at most; memory is bounded by it.

    Raises:
        UserError: the directory holds no documents, or not all of the columns.
    """
    import pyarrow.dataset as ds

    files = sorted(directory.glob("documents-*.parquet"))
    if not files:
        raise UserError("there are no documents here: no documents-*.parquet", where=str(directory))
    table = ds.dataset([str(file) for file in files], format="parquet")
    if missing := sorted(set(columns) - set(table.schema.names)):
        raise UserError(
            f"these documents have no column {missing[0]!r}: an earlier version made them, or another program",
            where=str(directory),
            hint="ingest them again",
        )
    wanted = ds.field("split") == split if split is not None else None
    for batch in table.to_batches(columns=list(columns), filter=wanted, batch_size=batch_documents, use_threads=False):
        if batch.num_rows:
            yield batch
