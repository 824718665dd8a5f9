"""Which rows of a table a condition is true of.

As in SQL, what is compared with a value that is not there is neither true nor false: NOT leaves it so, and such a row
is not chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

import pyarrow as pa

from loresmith.data.conditions.columns import (
    Array,
    Kind,
    Operand,
    compute,
    find_operand,
    kind_of,
    require_name,
    typed,
)
from loresmith.data.conditions.grammar import (
    Column,
    Compared,
    Constant,
    Fixed,
    Joined,
    Like,
    Member,
    Missing,
    Not,
    OneOf,
    Test,
    parse,
)
from loresmith.data.conditions.words import Written

_COMPARISON: Mapping[str, Callable[[Any, Any], Array]] = {
    "=": compute.equal,
    "!=": compute.not_equal,
    "<": compute.less,
    "<=": compute.less_equal,
    ">": compute.greater,
    ">=": compute.greater_equal,
}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}

_Look = Callable[[pa.RecordBatch], Array]


class Condition:
    """A condition on the rows of tables with a certain schema.

    Args:
        text: what was written.
        schema: of the tables.
        called: what a message calls the place that it was written in.

    Attributes:
        columns: the columns of the table that it looks at.

    Raises:
        UserError: it means nothing, or names a column that there is not; the message points at the place.
    """

    def __init__(self, text: str, schema: pa.Schema, called: str = "--where") -> None:
        self._written = Written(text, called)
        self._schema = schema
        self._operands: dict[Column, Operand] = {}
        self._seen: dict[Column, set[str]] = {}
        self._look = self._compiled(parse(self._written))
        self.columns = frozenset(operand.table_column for operand in self._operands.values())

    def mask(self, batch: pa.RecordBatch) -> Array:
        """For each row whether it is true: a Boolean array without nulls."""
        for column, operand in self._operands.items():
            if operand.names is not None:
                self._seen.setdefault(column, set()).update(operand.names(batch))
        return compute.fill_null(self._look(batch), False)

    def names_seen(self) -> dict[str, list[str]]:
        """The names that rows had in the mappings that it looks into, by column; for `add_names` in another process."""
        return {str(column): sorted(names) for column, names in self._seen.items()}

    def add_names(self, seen: Mapping[str, Iterable[str]]) -> None:
        """Take it that `mask` has seen these, too."""
        for column, operand in self._operands.items():
            if operand.names is not None and str(column) in seen:
                self._seen.setdefault(column, set()).update(seen[str(column)])

    def require_names(self) -> None:
        """Call it when `mask` has seen all rows.

        Raises:
            UserError: none of them had a name that the condition looks for in a mapping, such as that of a score.
        """
        for column, names in self._seen.items():
            require_name(self._operands[column], column, names, self._written)

    def _compiled(self, test: Test) -> _Look:
        match test:
            case Joined(word, tests):
                join = compute.and_kleene if word == "AND" else compute.or_kleene
                looks = [self._compiled(each) for each in tests]
                return lambda batch: reduce(join, (look(batch) for look in looks))
            case Not(inner):
                look = self._compiled(inner)
                return lambda batch: compute.invert(look(batch))
            case Compared():
                return self._compared(test)
            case OneOf(value, among, at):
                if isinstance(value, Fixed):
                    self._written.refuse("a column is expected here, and this is a constant", value.at)
                return self._compiled_any(Compared("=", value, each, at) for each in among)
            case Member(value, column):
                return self._member(value, column)
            case Like(column, pattern, at):
                operand = self._operand(column)
                self._require_kind("text", operand, column, at)
                return lambda batch: compute.match_like(typed(operand, "text", batch), pattern)
            case Missing(column):
                operand = self._operand(column)
                return lambda batch: _missing(operand, batch)

    def _compiled_any(self, tests: Iterable[Test]) -> _Look:
        found = tuple(tests)
        return self._compiled(found[0] if len(found) == 1 else Joined("OR", found))

    def _compared(self, test: Compared) -> _Look:
        left, right, sign = test.left, test.right, test.sign
        if isinstance(left, Fixed):
            if isinstance(right, Fixed):
                self._written.refuse("two constants are compared; one side must be a column", test.at)
            left, right, sign = right, left, _MIRRORED.get(sign, sign)
        first = self._operand(left)
        compare = _COMPARISON[sign]
        if isinstance(right, Fixed):
            kind = kind_of(right.value)
            self._require_kind(kind, first, left, test.at, right.value)
            constant = right.value
            return lambda batch: compare(typed(first, kind, batch), constant)
        second = self._operand(right)
        if "JSON" in (first.kind, second.kind):
            self._written.refuse("what is in JSON can be compared with constants only", test.at)
        self._require_kind(second.kind, first, left, test.at)
        return lambda batch: compare(first.values(batch), second.values(batch))

    def _member(self, value: Fixed, column: Column) -> _Look:
        operand = self._operand(column)
        kind = kind_of(value.value)
        if operand.kind not in ("JSON", f"list of {kind}s"):
            self._written.refuse(f"{column} is {_article(operand.kind)}: {value.value!r} cannot be in it", column.at)
        constant = value.value
        return lambda batch: _contains(operand.values(batch), constant)

    def _operand(self, column: Column) -> Operand:
        if column not in self._operands:
            self._operands[column] = find_operand(column, self._schema, self._written)
        return self._operands[column]

    def _require_kind(
        self, kind: Kind, operand: Operand, column: Column, at: int, constant: Constant | None = None
    ) -> None:
        if operand.kind.startswith("list"):
            self._written.refuse(f"{column} is {_article(operand.kind)}: ask `... IN {column}`", column.at)
        if operand.kind not in (kind, "JSON"):
            other = f"{constant!r} is" if constant is not None else "this takes"
            self._written.refuse(f"{column} is {_article(operand.kind)}, and {other} {_article(kind)}", at)


def _article(kind: Kind) -> str:
    return kind if kind in ("true or false", "JSON") else f"a {kind}"


def _missing(operand: Operand, batch: pa.RecordBatch) -> Array:
    values = operand.values(batch)
    return pa.array([value is None for value in values]) if isinstance(values, list) else compute.is_null(values)


def _contains(values: Array, constant: Constant) -> Array:
    """For each list whether the constant is in it."""
    rows = values if isinstance(values, list) else values.to_pylist()
    return pa.array([None if not isinstance(row, list) else constant in row for row in rows], pa.bool_())
