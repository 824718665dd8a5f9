"""Parquet: each row is a record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loresmith.data.readers.fields import FieldsToText
from loresmith.data.readers.record import ReadingRules, Record, Refused
from loresmith.data.readers.unpacking import Allowance, TooMuchError

_ROWS = 256
_SLICE = 16  # rows that are made Python objects at once: each may repeat one large value of a dictionary
_ROW_COST = 16  # bytes, of a row without any value


def read_parquet(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused]:
    """One record a row. Rows have no byte range of their own: each is given the same share of the file's bytes."""
    import pyarrow
    import pyarrow.parquet

    damage = (pyarrow.ArrowException, OSError, ValueError, KeyError, IndexError, TypeError, NotImplementedError)
    given = 0
    try:
        file = _open(data)
        names, rows = file.schema_arrow.names, file.metadata.num_rows
        to_text = FieldsToText(rules, has_text_field=rules.text_field in names)
        refusal = _refusal(to_text, names, rows, len(data))
        if refusal:
            yield refusal
            return
        number, allowance = 0, Allowance(rules)
        for fields in _rows(file, allowance):
            number += 1
            share = len(data) * min(number, rows) // rows - given
            given += share
            yield to_text.record(fields, share, f"#row-{number}")
        if given < len(data):
            yield Refused("damaged", f"it says that it has {rows} rows and has {number}", len(data) - given, "#rows")
    except TooMuchError as error:
        yield Refused("unpacks to too much", str(error), len(data) - given, "#rows" if given else "")
    except damage as error:
        said = str(error).split("\n", 1)[0] or type(error).__name__
        yield Refused("damaged", said, len(data) - given, "#rows" if given else "")


def _open(data: bytes) -> Any:
    """Columns of texts stay dictionaries: a value that a small file repeats is held once."""
    import pyarrow
    import pyarrow.parquet

    source = pyarrow.BufferReader(data)
    schema = pyarrow.parquet.ParquetFile(source).schema_arrow
    texts = [
        field.name for field in schema if pyarrow.types.is_string(field.type) or pyarrow.types.is_binary(field.type)
    ]
    return pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data), read_dictionary=texts)


def _refusal(to_text: FieldsToText, names: list[str], rows: int, size: int) -> Refused | None:
    if len(set(names)) < len(names):
        return Refused("damaged", "two columns have the same name", size)
    misfit = to_text.misfit(names)
    if misfit:
        return Refused("template", misfit, size)
    return None if rows > 0 else Refused("empty", "it has no rows", size)


def _rows(file: Any, allowance: Allowance) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(batch_size=_ROWS, use_threads=False):
        allowance.count(batch.nbytes + _ROW_COST * batch.num_rows)
        for start in range(0, batch.num_rows, _SLICE):
            yield from batch.slice(start, _SLICE).to_pylist()
