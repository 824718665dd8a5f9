"""A column of numbers, named as in a condition: `bytes`, `scores.words`, `metadata.year`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loresmith.data.conditions.columns import find_operand, require_name, typed
from loresmith.data.conditions.grammar import parse_column
from loresmith.data.conditions.words import Written


class NumberColumn:
    """A column of numbers in tables with a certain schema.

    Args:
        name: what was written.
        called: what a message calls the place that it was written in.

    Attributes:
        table_column: the column of the table that it is in.

    Raises:
        UserError: there is no such column, or it has no numbers.
    """

    def __init__(self, name: str, schema: pa.Schema, called: str) -> None:
        self._written = Written(name, called)
        self._column = parse_column(self._written)
        self._operand = find_operand(self._column, schema, self._written)
        if self._operand.kind not in ("number", "JSON"):
            self._written.refuse(f"{self._column} is {self._operand.kind}, and a number is needed", self._column.at)
        self._seen: set[str] = set()
        self.table_column = self._operand.table_column

    def values(self, batch: pa.RecordBatch) -> NDArray[np.float64]:
        """The number of each row; NaN where there is none."""
        if self._operand.names is not None:
            self._seen |= self._operand.names(batch)
        found: NDArray[np.float64] = typed(self._operand, "number", batch).cast(pa.float64()).to_numpy(False)
        return found

    def names_seen(self) -> list[str]:
        """As `Condition.names_seen`, of this column alone."""
        return sorted(self._seen)

    def add_names(self, seen: Iterable[str]) -> None:
        """As `Condition.add_names`."""
        self._seen.update(seen)

    def require_names(self) -> None:
        """As `Condition.require_names`."""
        require_name(self._operand, self._column, self._seen, self._written)
