"""Values of Arrow as Python's. Times that Python's own cannot hold are told in text or as a number of seconds.

Python's times end at microseconds and at the year 9999. What a value says does not depend on its neighbours, nor on
whether pandas, which has types for nanoseconds, happens to be installed.
"""

from __future__ import annotations

from typing import Any

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def python_rows(batch: Any) -> list[dict[str, Any]]:
    """The rows of a record batch.

    Raises:
        pyarrow.ArrowException, ValueError: a value is damaged.
    """
    names = batch.schema.names
    columns = [_values(column) for column in batch.columns]
    return [{name: column[row] for name, column in zip(names, columns, strict=True)} for row in range(batch.num_rows)]


def _values(column: Any) -> list[Any]:
    if "[ns" not in str(column.type):  # as in `list<item: timestamp[ns, tz=UTC]>`
        try:
            return list(column.to_pylist())
        except (OverflowError, ValueError):  # one of them may be the only one
            pass
    return [_value(scalar) for scalar in column]


def _value(scalar: Any) -> Any:
    import pyarrow

    if not scalar.is_valid:
        return None
    if isinstance(scalar, pyarrow.StructScalar):
        return {name: _value(inner) for name, inner in scalar.items()}
    if isinstance(scalar, pyarrow.ListScalar):
        inside = [_value(inner) for inner in scalar.values or ()]
        is_map = isinstance(scalar, pyarrow.MapScalar)
        return [tuple(entry.values()) for entry in inside] if is_map else inside
    held: Any = getattr(scalar, "value", None)
    if isinstance(held, pyarrow.Scalar):  # of a dictionary, a union or a run
        return _value(held)
    if pyarrow.types.is_duration(scalar.type):
        return held / _PER_SECOND[scalar.type.unit]
    if getattr(scalar.type, "unit", "") == "ns" and isinstance(held, int):
        return _finer(scalar.type, held)
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        if not isinstance(scalar, pyarrow.TimestampScalar | pyarrow.Date32Scalar | pyarrow.Date64Scalar):
            raise
        unit = getattr(scalar.type, "unit", "ms" if isinstance(scalar, pyarrow.Date64Scalar) else "days")
        return f"{held} {unit} since 1970-01-01"


def _finer(type_: Any, nanoseconds: int) -> Any:
    """A time of day or a moment; ISO 8601 with nine digits where it has nanoseconds."""
    import pyarrow

    microseconds, rest = divmod(nanoseconds, 1000)
    known: Any
    if pyarrow.types.is_time(type_):
        known = pyarrow.scalar(microseconds, pyarrow.time64("us")).as_py()
    else:
        known = pyarrow.scalar(microseconds, pyarrow.timestamp("us", type_.tz)).as_py()
    if not rest:
        return known
    local = known.replace(tzinfo=None)
    offset = known.isoformat().removeprefix(local.isoformat())
    return f"{local.isoformat(timespec='microseconds')}{rest:03}{offset}"
