"""How long documents may be kept, and which of them should be gone.

What a step makes depends on its inputs alone, and not on the day. So a step never leaves documents out because a day is
over: it stops, and says what to set.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from loresmith.errors import UserError

_NAMED = 3


@dataclass(frozen=True)
class Overdue:
    """Documents that may not be kept any more.

    Attributes:
        documents: how many.
        first: the earliest of their last days, YYYY-MM-DD.
        paths: of the first few.
        on: the day on which they were looked for.
    """

    documents: int
    first: str
    paths: tuple[str, ...]
    on: date

    @property
    def sentence(self) -> str:
        """Which they are, and since when."""
        more = self.documents - len(self.paths)
        named = ", ".join(self.paths) + (f" and {more} more" if more else "")
        some = "one document has" if self.documents == 1 else f"{self.documents} documents have"
        last = "its last day was" if self.documents == 1 else "the earliest of their last days was"
        return f"{some} been kept too long, {last} {self.first}: {named}"

    @property
    def hint(self) -> str:
        """What can be done."""
        return f"curate with `as_of: {self.on}`, which leaves them out, or remove them for good: `loresmith data erase`"


def today() -> date:
    """The day in UTC."""
    return datetime.now(UTC).date()


def overdue(directory: Path, on: date) -> Overdue | None:
    """The documents of an asset whose last day is before a day; None where there are none.

    Args:
        directory: a `documents` or `corpus` asset; one of an earlier version, without retention dates, has none.
    """
    import pyarrow.dataset as ds

    files = [str(file) for file in sorted(directory.glob("documents-*.parquet"))]
    table = ds.dataset(files, format="parquet") if files else None
    if table is None or "retain_until" not in table.schema.names:
        return None
    day = ds.field("retain_until")
    late = (day != "") & (day < on.isoformat())
    count, first = 0, ""
    paths: list[str] = []
    for batch in table.to_batches(columns=["path", "retain_until"], filter=late, use_threads=False):
        for row in batch.to_pylist():
            count += 1
            first = min(first or row["retain_until"], row["retain_until"])
            if len(paths) < _NAMED:
                paths.append(row["path"])
    return Overdue(count, first, tuple(paths), on) if count else None


def require_in_time(directory: Path, on: date) -> None:
    """Make sure that all documents of an asset may still be kept.

    Raises:
        UserError: some may not.
    """
    late = overdue(directory, on)
    if late is not None:
        raise UserError(late.sentence, hint=late.hint)
