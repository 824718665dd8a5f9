"""CSV and TSV: each row is a record, with the bytes in which it stands."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence

from loresmith.data.byte_places import BytePlaces
from loresmith.data.decoding import Decoded, decode_file
from loresmith.data.readers.csv_dialect import find_dialect
from loresmith.data.readers.fields import FieldsToText, named_fields
from loresmith.data.readers.record import ReadingRules, Record, Refused

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_MOST_LINES = 10_000  # of one row: what a quotation mark without its second one would swallow


def read_csv(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused]:
    """One record a row; the columns' names come from the first row, if that names them, else from their number. A row
    that has a field of which the rules speak always does.

    The metadata of each row has the table's `dialect`. The bytes of the first row and of empty lines are those of the
    row after them. A quotation that never ends spoils the line it begins in and no other.
    """
    yield from _read(data, rules, ",;\t|")


def read_tsv(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused]:
    """As `read_csv`, divided by tabs."""
    yield from _read(data, rules, "\t")


def _read(data: bytes, rules: ReadingRules, delimiters: str) -> Iterator[Record | Refused]:
    decoded = decode_file(data, rules.encodings)
    wanted = named_fields(rules)
    dialect = find_dialect(decoded.text, delimiters, wanted)
    rows = _Rows(decoded.text, dialect.delimiter)
    places = BytePlaces(decoded, len(data))
    first = next(rows, None)
    if first is None:
        yield Refused("empty", "it has no rows", len(data))
        return
    names = _names(first.cells, dialect.has_header)
    if any([cell.strip() for cell in first.cells].count(name) > 1 for name in wanted):
        yield Refused("damaged", "two columns have the same name", len(data))
        return
    to_text = FieldsToText(rules, has_text_field=rules.text_field in names)
    misfit = to_text.misfit(names)
    if misfit:
        yield Refused(*misfit, len(data))
        return
    pending = next(rows, None) if dialect.has_header else first
    if pending is None:
        yield Refused("empty", "it has no rows below the names of its columns", len(data))
        return
    table = _Table(names, to_text, {"delimiter": dialect.delimiter, "header": dialect.has_header}, decoded)
    start = 0
    while pending is not None:
        following = next(rows, None)
        stop = places.at(pending.end) if following else len(data)
        yield table.record(pending, stop - start, start)
        start, pending = stop, following


class _Row:
    def __init__(self, cells: Sequence[str], line: int, end: int, damage: str = "") -> None:
        self.cells, self.line, self.end, self.damage = cells, line, end, damage


class _Rows:
    """The rows of a text, each with the line it begins on and the character it ends at; empty ones are left out."""

    def __init__(self, text: str, delimiter: str) -> None:
        self._text = text
        self._delimiter = delimiter or "\0"
        self._position, self._line = 0, 0
        self._allowed = 0  # lines that the row under way may still take
        self._reader = self._new_reader()

    def __iter__(self) -> Iterator[_Row]:
        return self

    def __next__(self) -> _Row:
        while self._position < len(self._text):
            position, line = self._position, self._line
            self._allowed = _MOST_LINES
            try:
                cells = next(self._reader, [])
            except csv.Error:
                return self._damaged(position, line)
            if any(map(str.strip, cells)):
                return _Row(cells, line + 1, self._position)
        raise StopIteration

    def _damaged(self, position: int, line: int) -> _Row:
        """The line at which the row began; what follows it is read anew.

        No line is read often: one that opens a quotation ends that of a line before it.
        """
        self._position, self._line, self._allowed = position, line, 1
        whole = next(self._lines())
        self._reader = self._new_reader()
        return _Row(
            [whole], line + 1, self._position, f"line {line + 1}: a quotation that is not one, or that never ends"
        )

    def _new_reader(self) -> Iterator[list[str]]:
        return csv.reader(self._lines(), delimiter=self._delimiter, strict=True)

    def _lines(self) -> Iterator[str]:
        while self._allowed and self._position < len(self._text):
            self._allowed -= 1
            found = _LINE.match(self._text, self._position)
            if found is None:
                return
            self._position = found.end()
            self._line += 1
            yield found[0]


class _Table:
    def __init__(self, names: list[str], to_text: FieldsToText, dialect: dict[str, object], decoded: Decoded) -> None:
        self._names, self._to_text = names, to_text
        self._more = {"dialect": dialect, **decoded.metadata}

    def record(self, row: _Row, size: int, start: int) -> Record | Refused:
        anchor = f"#L{row.line}"
        if row.damage:
            return Refused("damaged", row.damage, size, anchor)
        cells = list(row.cells)
        while len(cells) > len(self._names) and not cells[-1].strip():
            cells.pop()
        if len(cells) > len(self._names):
            detail = f"line {row.line}: {len(cells)} cells in {len(self._names)} columns"
            return Refused("damaged", detail, size, anchor)
        return self._to_text.record(dict(zip(self._names, cells, strict=False)), size, anchor, start, self._more)


def _names(first: Sequence[str], has_header: bool) -> list[str]:
    if not has_header:
        return [f"column_{number}" for number in range(1, len(first) + 1)]
    names = [cell.strip() for cell in first]
    while len(names) > 1 and not names[-1]:
        names.pop()
    distinct: list[str] = []
    for number, name in enumerate(names, 1):
        distinct.append(name if name and name not in distinct else f"{name or 'column'}_{number}")
    return distinct
