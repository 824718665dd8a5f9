"""How long documents may be kept, and which of them should be gone.

What a step makes depends on its inputs alone, and not on the day. So a step never leaves documents out because a day is
over: it stops, and says what to set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from loresmith.errors import UserError

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

_NAMED = 3


@dataclass(frozen=True)
class _Table:
    """In which files an asset says what is in it, what that is called, and how to do without some of it."""

    files: str
    noun: str
    remedy: str


_TABLES = (
    _Table("documents-*.parquet", "document", "curate with `as_of: {on}`, which leaves them out"),
    _Table(
        "*.documents.parquet",
        "document",
        "pack a corpus again that was curated with `as_of: {on}`, which leaves them out",
    ),
    _Table("records.parquet", "record", "read the conversations again without these files (`exclude`)"),
)
"""Of documents and corpora; of tokens; of datasets of conversations."""


@dataclass(frozen=True)
class Overdue:
    """Documents, or records of conversations, that may not be kept any more.

    Attributes:
        documents: how many.
        first: the earliest of their last days, YYYY-MM-DD.
        paths: of the first few.
        on: the day on which they were looked for.
        table: where they stand.
    """

    documents: int
    first: str
    paths: tuple[str, ...]
    on: date
    table: _Table = field(default=_TABLES[0], repr=False)

    @property
    def sentence(self) -> str:
        """Which they are, and since when."""
        more = self.documents - len(self.paths)
        named = ", ".join(self.paths) + (f" and {more} more" if more else "")
        some = f"one {self.table.noun} has" if self.documents == 1 else f"{self.documents} {self.table.noun}s have"
        last = "its last day was" if self.documents == 1 else "the earliest of their last days was"
        return f"{some} been kept too long, {last} {self.first}: {named}"

    @property
    def hint(self) -> str:
        """What can be done."""
        return f"{self.table.remedy.format(on=self.on)}, or remove them for good: `loresmith data erase`"


def today() -> date:
    """The day in UTC."""
    return datetime.now(UTC).date()


def overdue(directory: Path, on: date) -> Overdue | None:
    """The documents of an asset whose last day is before a day; None where there are none.

    Args:
        directory: a `documents`, `corpus`, `tokens` or `dataset` asset; one of an earlier version, without retention
            dates, has none.
    """
    kind, table = _table_of(directory)
    if table is None or "retain_until" not in table.schema.names:
        return None
    import pyarrow.dataset as ds

    day = ds.field("retain_until")
    late = (day != "") & (day < on.isoformat())
    columns = [name for name in table.schema.names if name in ("path", "line", "retain_until")]
    count, first = 0, ""
    paths: list[str] = []
    for batch in table.to_batches(columns=columns, filter=late, use_threads=False):
        for row in batch.to_pylist():
            count += 1
            first = min(first or row["retain_until"], row["retain_until"])
            if len(paths) < _NAMED:
                paths.append(f"{row['path']}#L{row['line']}" if "line" in row else row["path"])
    return Overdue(count, first, tuple(paths), on, kind) if count else None


def _table_of(directory: Path) -> tuple[_Table, Dataset | None]:
    """What an asset says of what is in it; None where it says nothing."""
    import pyarrow.dataset as ds

    for kind in _TABLES:
        if files := [str(file) for file in sorted(directory.glob(kind.files))]:
            return kind, ds.dataset(files, format="parquet")
    return _TABLES[0], None


def require_in_time(directory: Path, on: date) -> None:
    """Make sure that all documents of an asset may still be kept.

    Raises:
        UserError: some may not.
    """
    late = overdue(directory, on)
    if late is not None:
        raise UserError(late.sentence, hint=late.hint)


def require_tokens_in_time(directory: Path, on: date | None = None) -> None:
    """Make sure that all documents which are in a `tokens` asset may still be kept.

    Args:
        on: the day on which something is learnt from them; None: today.

    Raises:
        UserError: some may not, or it is not known of them.
    """
    _, table = _table_of(directory)
    if table is None or "retain_until" not in table.schema.names:
        raise UserError(
            "these tokens do not say until when their documents may be kept: an earlier version packed them",
            where=str(directory),
            hint="pack the corpus again",
        )
    require_in_time(directory, on or today())
