"""Arrow: the file and the stream format, as `datasets` saves them; each row is a record.

Nothing in such a file is run: a column of a type that somebody else defined is read as what it is stored as.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from loresmith.data.readers.arrow_values import python_rows
from loresmith.data.readers.complaint import complaint
from loresmith.data.readers.fields import FieldsToText
from loresmith.data.readers.record import ReadingRules, Record, Refused
from loresmith.data.readers.unpacking import Allowance, TooMuchError

_MAGIC = b"ARROW1"
_SLICE = 16  # rows that are made Python objects at once, as of Parquet
_ROW_COST = 16  # bytes, of a row without any value


class DamagedTableError(Exception):
    """Bytes that are no table, or not all of one."""


def read_arrow(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused]:
    """One record a row. Rows of one batch share its bytes evenly."""
    given = 0
    try:
        table = ArrowRows(data, Allowance(rules))
        to_text = FieldsToText(rules, has_text_field=rules.text_field in table.names)
        misfit = to_text.misfit(table.names)
        if misfit:
            yield Refused(*misfit, len(data))
            return
        for number, (fields, share) in enumerate(table, start=1):
            given += share
            yield to_text.record(fields, share, f"#row-{number}")
        if given < len(data):
            yield Refused("empty", "it has no rows", len(data) - given, "#rows" if given else "")
    except TooMuchError as error:
        yield Refused("unpacks to too much", str(error), len(data) - given, "#rows" if given else "")
    except DamagedTableError as error:
        yield Refused("damaged", str(error), len(data) - given, "#rows" if given else "")


class ArrowRows:
    """The rows of an Arrow file or stream, each with how many of its bytes it takes up; in all they take up all.

    Args:
        data: the file.
        allowance: what the rows may take up in memory, all in all.

    Attributes:
        names: of the columns.

    Raises:
        DamagedTableError: it is none, also while iterating.
        TooMuchError: the rows take up more, while iterating.
    """

    def __init__(self, data: bytes, allowance: Allowance) -> None:
        self._data = data
        self._allowance = allowance
        with damage():
            schema, self._batches = _opened(data)
            self.names: list[str] = list(schema.names)
        if len(set(self.names)) < len(self.names):
            raise DamagedTableError("two columns have the same name")

    def __iter__(self) -> Iterator[tuple[dict[str, Any], int]]:
        begin = 0
        held: list[tuple[dict[str, Any], int]] = []  # the last row, which also takes up what comes after it
        for batch, end in self._read():
            rows = batch.num_rows
            for start in range(0, rows, _SLICE):
                with damage():
                    some = python_rows(batch.slice(start, _SLICE))
                for number, fields in enumerate(some, start):
                    yield from held
                    share = (end - begin) * (number + 1) // rows - (end - begin) * number // rows
                    held = [(fields, share)]
            begin = end if rows else begin
        for fields, share in held:
            yield fields, share + len(self._data) - begin

    def _read(self) -> Iterator[tuple[Any, int]]:
        while True:
            with damage():
                found = next(self._batches, None)
                if found is None:
                    return
                batch, end = found
                batch.validate(full=True)  # first: to count the bytes of a damaged batch can end the process
                self._allowance.count(batch.nbytes + _ROW_COST * batch.num_rows)
            yield batch, end


def _opened(data: bytes) -> tuple[Any, Iterator[tuple[Any, int]]]:
    """The schema, and the batches, each with the byte behind it."""
    import pyarrow
    import pyarrow.ipc

    source = pyarrow.BufferReader(data)
    if data.startswith(_MAGIC):
        file = pyarrow.ipc.open_file(source)
        count = file.num_record_batches
        return file.schema, ((file.get_batch(n), len(data) * (n + 1) // count) for n in range(count))
    stream = pyarrow.ipc.open_stream(source)
    return stream.schema, ((batch, source.tell()) for batch in stream)


@contextmanager
def damage() -> Iterator[None]:
    """What pyarrow raises for a damaged file becomes DamagedTableError."""
    import pyarrow

    try:
        yield
    except TooMuchError:
        raise
    except (
        pyarrow.ArrowException,
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        NotImplementedError,
    ) as error:
        raise DamagedTableError(complaint(error)) from error
