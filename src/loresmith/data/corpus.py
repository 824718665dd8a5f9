"""Reading a `corpus` asset: Parquet tables of documents, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loresmith.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_DOCUMENTS = 256


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
