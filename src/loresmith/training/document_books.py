"""The books of training: what became of every token of every document, known before the first step.

Which rows a training shows, and how often, follows from its settings. So the books are made, and required to balance,
before anything is computed; at the end they are compared with what the loop counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from loresmith.ledger.books import Account, Disposition, Entry

if TYPE_CHECKING:
    import pyarrow as pa

Counts = NDArray[np.int64]

BUDGET_ENDED = "the budget ended before they came"
STEP_SKIPPED = "their step was skipped: its loss or gradient was not finite"
AGAIN = "in a later epoch"


@dataclass(frozen=True)
class Shown:
    """How often a training shows each row of a source.

    Attributes:
        learnt: int64 (rows,), in steps that updated the weights.
        skipped: int64 (rows,), in steps that were skipped.
    """

    learnt: Counts
    skipped: Counts

    def unseen_because(self) -> NDArray[np.str_]:
        """(rows,) why nothing was learnt from a row; an empty string where something was."""
        reasons = np.where(self.skipped > 0, STEP_SKIPPED, BUDGET_ENDED)
        return np.where(self.learnt > 0, "", reasons)


@dataclass(frozen=True)
class Line:
    """Part of a document and what became of it.

    Attributes:
        source: name of the source.
        document: its id there.
        path: where the document came from.
        disposition, reason: as in `loresmith.ledger.books`.
        tokens: how many of the document's tokens; over its lines they add up to the document.
        again: how often tokens of them were learnt from beyond the first time.
    """

    source: str
    document: str
    path: str
    disposition: Disposition
    reason: str
    tokens: int
    again: int = 0


@dataclass(frozen=True)
class SourceBooks:
    """What became of one source.

    Attributes:
        source: its name.
        entered: tokens in it, as its own index says, not as the lines do.
        lines: of its documents.
        learnt: targets with a weight that the training shows, repeats included, counted by rows and not by lines.
    """

    source: str
    entered: int
    lines: Sequence[Line]
    learnt: int

    def accounts(self) -> tuple[Account, Account]:
        """Each token once; and each time that a token is learnt from."""
        once: defaultdict[tuple[str, str], int] = defaultdict(int)
        for line in self.lines:
            once[line.disposition, line.reason] += line.tokens
        left = tuple(
            Entry(disposition=cast(Disposition, disposition), reason=reason, count=count)
            for (disposition, reason), count in sorted(once.items())
            if count
        )
        kept = sum(line.tokens for line in self.lines if line.disposition == "kept")
        again = sum(line.again for line in self.lines)
        return (
            Account(unit=f"tokens of {self.source}", entered=self.entered, left=left),
            Account(
                unit=f"lessons from {self.source}",
                entered=self.learnt,
                left=(
                    Entry(disposition="kept", reason="learnt from for the first time", count=kept),
                    Entry(disposition="repeated", reason=AGAIN, count=again),
                ),
            ),
        )


def book_table(books: Sequence[SourceBooks]) -> pa.Table:
    """The lines of all sources as a table, as it is kept beside a model."""
    import pyarrow as pa

    texts: list[pa.Field[Any]] = [
        pa.field(name, pa.string()) for name in ("source", "document", "path", "disposition", "reason")
    ]
    schema = pa.schema([*texts, pa.field("tokens", pa.int64()), pa.field("again", pa.int64())])
    columns: dict[str, list[Any]] = {field.name: [] for field in schema}
    for source in books:
        for line in source.lines:
            for name in columns:
                columns[name].append(getattr(line, name))
    return pa.table(columns, schema=schema)
