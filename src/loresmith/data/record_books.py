"""The books of a step that handles records: a row for each in books.parquet, and the accounts that must balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from loresmith.data.tables import TableWriter
from loresmith.errors import Failure
from loresmith.ledger.books import Account, Books, Disposition, Entry

_TEXTS: list[tuple[str, pa.DataType]] = [
    (name, pa.string()) for name in ("id", "path", "disposition", "reason", "detail")
]
BOOK_COLUMNS = pa.schema([*_TEXTS, ("bytes", pa.int64())])
"""`reason` is one of a few, `detail` says more, such as which document this one was merged into."""

_LONGEST_DETAIL = 500


def books_paths(directory: Path) -> Iterator[str]:
    """The paths of all records in the books in a folder. Raises Failure for books that are damaged."""
    try:
        with pq.ParquetFile(directory / "books.parquet", pre_buffer=False) as table:
            for batch in table.iter_batches(columns=["path"]):
                yield from map(str, batch["path"].to_pylist())
    except (pa.ArrowException, OSError) as error:
        hint = "`loresmith assets verify` names what is damaged"
        raise Failure(f"these books cannot be read: {error}", where=str(directory), hint=hint) from error


class RecordBooks:
    """Counts what enters before anything is decided, and writes down where each record went.

    A context manager; books.parquet in `directory` is whole when it is left.

    Args:
        directory: where to write it.
        unit: what the records are called in the accounts.
    """

    def __init__(self, directory: Path, unit: str = "documents") -> None:
        self._unit = unit
        self._writer = TableWriter(directory / "books.parquet", BOOK_COLUMNS)
        self._entered: Counter[str] = Counter()
        self._left: dict[str, Counter[tuple[Disposition, str]]] = {unit: Counter(), "bytes": Counter()}

    def enter(self, records: int = 0, bytes_: int = 0) -> None:
        """Count what goes in."""
        self._entered.update({self._unit: records, "bytes": bytes_})

    def leave(
        self, id_: str, path: str, disposition: Disposition, bytes_: int, reason: str = "", detail: str = ""
    ) -> None:
        """Write down where one record went."""
        self._left[self._unit][disposition, reason] += 1
        self._left["bytes"][disposition, reason] += bytes_
        self._writer.add(
            {
                "id": id_,
                "path": path,
                "disposition": disposition,
                "reason": reason,
                "detail": detail[:_LONGEST_DETAIL],
                "bytes": bytes_,
            }
        )

    def leave_out(self, bytes_: int, reason: str) -> None:
        """Count a record that is dropped and of which nothing is written down, not even what it was called."""
        self._left[self._unit]["dropped", reason] += 1
        self._left["bytes"]["dropped", reason] += bytes_

    def part(self, disposition: Disposition, bytes_: int, reason: str) -> None:
        """Count bytes of a record that went elsewhere than the rest of it."""
        self._left["bytes"][disposition, reason] += bytes_

    def accounts(self) -> Books:
        """The accounts in records and in bytes."""
        return Books(
            accounts=tuple(
                Account(
                    unit=unit,
                    entered=self._entered[unit],
                    left=tuple(
                        Entry(disposition=disposition, reason=reason, count=count)
                        for (disposition, reason), count in sorted(left.items())
                    ),
                )
                for unit, left in self._left.items()
            )
        )

    def __enter__(self) -> RecordBooks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
