"""Conversations in tables, a row each: as the lines of JSON that `messages_shapes` reads."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from loresmith.data.file_types import HEAD_BYTES, file_type
from loresmith.data.messages import BadRecordError
from loresmith.data.readers.arrow import ArrowRows, DamagedTableError
from loresmith.data.readers.fields import plain_value
from loresmith.data.readers.parquet import ParquetRows
from loresmith.data.readers.record import ReadingRules
from loresmith.data.readers.unpacking import Allowance, TooMuchError

_TABLES: Mapping[str, type[ArrowRows] | type[ParquetRows]] = {
    "application/vnd.apache.arrow.stream": ArrowRows,
    "application/vnd.apache.parquet": ParquetRows,
}
_UNPACKED = 16 << 30
"""Bytes that a table of conversations may decode to."""


def media_type_of(path: str, data: bytes) -> str:
    """The media type of a table; empty for lines of JSON."""
    found = file_type(path, data[:HEAD_BYTES]).media_type
    return found if found in _TABLES else ""


def table_lines(media_type: str, data: bytes) -> Iterator[tuple[bytes, int]]:
    """Each row as a line of JSON, and how many of the file's bytes it takes up.

    Arrow has every key in every row; those without a value are left out, as people leave them out of JSON.

    Raises:
        BadRecordError: the table is damaged; what stands before the damage comes first.
    """
    try:
        table = _TABLES[media_type](data, Allowance(ReadingRules(max_unpacked_bytes=_UNPACKED)))
        for fields, share in table:
            said = {name: without_nulls(plain_value(value)) for name, value in fields.items() if value is not None}
            yield json.dumps(said, ensure_ascii=False).encode("utf-8", "surrogatepass"), share
    except (DamagedTableError, TooMuchError) as error:
        raise BadRecordError("damaged", str(error)) from None


def without_nulls(value: Any) -> Any:
    """A value as JSON has it, without the keys that have none."""
    if isinstance(value, Mapping):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, Collection) and not isinstance(value, str):
        return [without_nulls(inner) for inner in value]
    return value
