"""Pictures and recordings that a corpus of text is made without: they are in its books."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

from loresmith.data.engine.finished import once
from loresmith.data.media import MEDIA, MEDIA_FILES
from loresmith.data.record_books import RecordBooks
from loresmith.ledger.books import Books

_ACCOUNTS = "accounts.json"


def leave_media(corpora: Iterable[Path], folder: Path) -> Books:
    """Put down that the media documents of corpora are dropped.

    Args:
        folder: made for what the books say; gets books.parquet.
    """

    def make(made: Path) -> None:
        with RecordBooks(made) as books:
            for corpus in corpora:
                for table in sorted(corpus.glob(MEDIA_FILES)):
                    with pq.ParquetFile(table, pre_buffer=False) as file:
                        for batch in file.iter_batches(4096, columns=["id", "path", "media_type"], use_threads=False):
                            for row in batch.to_pylist():
                                books.enter(records=1)
                                books.leave(row["id"], row["path"], "dropped", 0, MEDIA, row["media_type"])
        (made / _ACCOUNTS).write_text(books.accounts().model_dump_json(), encoding="utf-8")

    return Books.model_validate_json((once(folder, make) / _ACCOUNTS).read_text(encoding="utf-8"))
