"""Parquet: each row is a record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loresmith.data.readers.arrow import DamagedTableError, damage
from loresmith.data.readers.arrow_values import python_rows
from loresmith.data.readers.fields import FieldsToText
from loresmith.data.readers.record import ReadingRules, Record, Refused
from loresmith.data.readers.unpacking import Allowance, TooMuchError

_ROWS = 256
_SLICE = 16  # rows that are made Python objects at once: each may repeat one large value of a dictionary
_ROW_COST = 16  # bytes, of a row without any value


def read_parquet(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused]:
    """One record a row. Rows have no byte range of their own: each is given the same share of the file's bytes."""
    given = 0
    try:
        table = ParquetRows(data, Allowance(rules))
        to_text = FieldsToText(rules, has_text_field=rules.text_field in table.names)
        misfit = to_text.misfit(table.names)
        if misfit:
            yield Refused(*misfit, len(data))
            return
        if not table.count:
            yield Refused("empty", "it has no rows", len(data))
            return
        number = 0
        for fields, share in table:
            number += 1
            given += share
            yield to_text.record(fields, share, f"#row-{number}")
        if given < len(data):
            yield Refused(
                "damaged", f"it says that it has {table.count} rows and has {number}", len(data) - given, "#rows"
            )
    except TooMuchError as error:
        yield Refused("unpacks to too much", str(error), len(data) - given, "#rows" if given else "")
    except DamagedTableError as error:
        yield Refused("damaged", str(error), len(data) - given, "#rows" if given else "")


class ParquetRows:
    """The rows of a Parquet file, each with its share of the file's bytes; arguments and errors as of `ArrowRows`.

    Attributes:
        names: of the columns.
        count: how many rows it says it has.
    """

    def __init__(self, data: bytes, allowance: Allowance) -> None:
        self._size = len(data)
        self._allowance = allowance
        with damage():
            self._file = _open(data)
            self.names: list[str] = list(self._file.schema_arrow.names)
            self.count: int = self._file.metadata.num_rows
        if len(set(self.names)) < len(self.names):
            raise DamagedTableError("two columns have the same name")

    def __iter__(self) -> Iterator[tuple[dict[str, Any], int]]:
        number = given = 0
        batches = self._file.iter_batches(batch_size=_ROWS, use_threads=False)
        while True:
            with damage():
                batch = next(batches, None)
            if batch is None:
                return
            self._allowance.count(batch.nbytes + _ROW_COST * batch.num_rows)
            for start in range(0, batch.num_rows, _SLICE):
                with damage():
                    some = python_rows(batch.slice(start, _SLICE))
                for fields in some:
                    number += 1
                    share = self._size * min(number, self.count) // self.count - given
                    given += share
                    yield fields, share


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
