"""What a condition can look at in a table: columns, and what is in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute

from loresmith.data.conditions.grammar import Column, Constant
from loresmith.data.conditions.words import Written
from loresmith.nearest import unknown_name

compute: Any = pyarrow.compute
Array = Any
"""A pyarrow array; the columns of a batch."""

Kind = Literal["text", "number", "true or false", "list of texts", "list of numbers", "JSON"]
_LARGEST = 1e308
"""Numbers in JSON may have any number of digits."""

JSON_COLUMNS = frozenset({"metadata", "messages", "tools"})


@dataclass(frozen=True)
class Operand:
    """A column of a condition, in tables with a certain schema.

    Attributes:
        table_column: the column of the table that it is in.
        kind: what its values are.
        values: its values in a batch: an Arrow array; of JSON, a list of Python values.
        names: where a row may have any names (a mapping, JSON), those that the rows of a batch have.
    """

    table_column: str
    kind: Kind
    values: Callable[[pa.RecordBatch], Array]
    names: Callable[[pa.RecordBatch], set[str]] | None = None


def kind_of(value: Constant) -> Kind:
    """What a constant is."""
    if isinstance(value, bool):
        return "true or false"
    return "text" if isinstance(value, str) else "number"


def find_operand(column: Column, schema: pa.Schema, written: Written) -> Operand:
    """The operand that a column of a condition means.

    Raises:
        UserError: pointing at it, with the nearest column.
    """
    name, *inside = column.names
    if name not in schema.names:
        hint = "a text stands in single quotes" if not inside else ""
        if name in ("scores", "flags", "profile", "breaches", "near", "similarity"):
            hint = "only a corpus that `curate` made has scores"
        written.refuse(unknown_name("column", name, schema.names), column.at, hint)
    type_ = schema.field(name).type
    if pa.types.is_map(type_):
        if not inside:
            written.refuse(f"{name} is a mapping: say what of it, as in {name}.words", column.at)
        return _in_mapping(name, ".".join(inside))
    if inside and name in JSON_COLUMNS and _is_text(type_):
        return _in_json(name, tuple(inside))
    if pa.types.is_list(type_) and pa.types.is_struct(type_.value_type):
        fields = {field.name: field.type for field in type_.value_type}
        if len(inside) != 1 or inside[0] not in fields:
            known = [f"{name}.{field}" for field in fields]
            written.refuse(unknown_name("column", str(column), known), column.at)
        return Operand(name, _list_kind(fields[inside[0]], column, written), _of_structs(name, inside[0]))
    if inside:
        written.refuse(f"there is nothing in {name} that has a name", column.at)
    return Operand(name, _kind(type_, column, written), lambda batch: batch.column(name))


def _kind(type_: pa.DataType, column: Column, written: Written) -> Kind:
    if pa.types.is_list(type_):
        return _list_kind(type_.value_type, column, written)
    if _is_text(type_):
        return "text"
    if pa.types.is_integer(type_) or pa.types.is_floating(type_):
        return "number"
    if pa.types.is_boolean(type_):
        return "true or false"
    written.refuse(f"a condition cannot look at {column}, which is {type_}", column.at)


def _list_kind(type_: pa.DataType, column: Column, written: Written) -> Kind:
    kind = _kind(type_, column, written)
    if kind not in ("text", "number"):
        written.refuse(f"a condition cannot look at {column}, a list of {type_}", column.at)
    return "list of texts" if kind == "text" else "list of numbers"


def _is_text(type_: pa.DataType) -> bool:
    return pa.types.is_string(type_) or pa.types.is_large_string(type_)


def _in_mapping(name: str, key: str) -> Operand:
    return Operand(
        name,
        "number",
        lambda batch: compute.map_lookup(batch.column(name), key, "first"),
        lambda batch: set(compute.unique(compute.list_flatten(_as_list(batch.column(name))).field(0)).to_pylist()),
    )


def _as_list(mapping: Array) -> Array:
    return mapping.cast(pa.list_(pa.struct([("key", mapping.type.key_type), ("value", mapping.type.item_type)])))


def _of_structs(name: str, field: str) -> Callable[[pa.RecordBatch], Array]:
    def values(batch: pa.RecordBatch) -> Array:
        return [None if row is None else [each[field] for each in row] for row in batch.column(name).to_pylist()]

    return values


def _in_json(name: str, path: tuple[str, ...]) -> Operand:
    def values(batch: pa.RecordBatch) -> list[Any]:
        found = []
        for written in batch.column(name).to_pylist():
            value = json.loads(written) if written else None
            for step in path:
                value = value.get(step) if isinstance(value, dict) else None
            found.append(value)
        return found

    def names(batch: pa.RecordBatch) -> set[str]:
        rows = [json.loads(written) for written in batch.column(name).to_pylist() if written]
        return {key for row in rows if isinstance(row, dict) for key in row}

    return Operand(name, "JSON", values, names)


def require_name(operand: Operand, column: Column, names: set[str], written: Written) -> None:
    """Raise UserError if none of the rows seen had the name that is looked for in a mapping, such as that of a score.

    Args:
        names: those that the rows had.
    """
    name, *inside = column.names
    wanted = inside[0] if operand.kind == "JSON" and inside else ".".join(inside)
    if names and wanted not in names:
        written.refuse(unknown_name("name", f"{name}.{wanted}", {f"{name}.{each}" for each in names}), column.at)


def typed(operand: Operand, kind: Kind, batch: pa.RecordBatch) -> Array:
    """An operand's values as Arrow has those of this kind; in JSON, those of another kind are not there."""
    values = operand.values(batch)
    if operand.kind != "JSON":
        return values
    if kind == "number":
        return pa.array([float(value) if _is_number(value) else None for value in values], pa.float64())
    if kind == "text":
        return pa.array([value if isinstance(value, str) else None for value in values], pa.string())
    return pa.array([value if isinstance(value, bool) else None for value in values], pa.bool_())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST
