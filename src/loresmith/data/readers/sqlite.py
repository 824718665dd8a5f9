"""SQLite files: each row of each table is a record.

The file is opened as bytes in memory and never as a file, so that nothing is written beside it and nothing else is
opened through it. Its schema is not trusted: views, triggers and virtual tables are code, and are not run. A virtual
table, such as one for full-text search, may hold what stands nowhere else, so it is refused by its name.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from loresmith.data.path_names import path_name
from loresmith.data.readers.complaint import complaint
from loresmith.data.readers.fields import FieldsToText
from loresmith.data.readers.record import ReadingRules, Record, Refused

_STEPS = 1_000_000  # of SQLite's machine, between two rows
_MOST_COLUMNS = 2000
_VIRTUAL = (
    "a virtual table, whose rows only the code of its module gives; `CREATE TABLE name AS SELECT ...` copies them"
)


def read_sqlite(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused]:
    """One record a row, in the order of the tables' names and of the row ids, with the anchor `#table/row`.

    Rows have no byte range of their own: each is given the same share of the file's bytes, and so is a virtual table.
    """
    if not data:  # which SQLite takes for too little memory
        yield Refused("empty", "there is nothing in it", 0)
        return
    shares = _Shares(len(data))
    with closing(sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)) as connection:
        try:
            _open(connection, data, rules)
            virtual = _virtual_tables(connection)
            tables = list(_tables(connection))
            shares.rows = sum(table.rows for table in tables) + len(virtual)
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            yield Refused("damaged", complaint(error), len(data))
            return
        for table in tables:
            yield from _records(connection, table, rules, shares)
    for name in virtual:
        yield Refused("unsupported", _VIRTUAL, shares.next(), _anchor(name))
    rest = shares.rest()
    if not shares.given_any:
        yield Refused("empty", "it has no tables with rows", len(data))
    elif rest:
        yield Refused("damaged", "it has fewer rows than it says", rest, "#rows")


@dataclass
class _Shares:
    """The file's bytes, divided among the rows."""

    size: int
    rows: int = 0
    done: int = 0
    given: int = 0
    given_any: bool = False

    def next(self, rows: int = 1) -> int:
        self.given_any = True
        self.done += rows
        share = self.size * min(self.done, self.rows) // max(self.rows, 1) - self.given
        self.given += share
        return share

    def rest(self) -> int:
        return self.size - self.given


@dataclass(frozen=True)
class _Table:
    name: str
    columns: tuple[str, ...]
    row_id: str  # what the table's row ids are called; empty for a table without any
    rows: int

    @property
    def anchor(self) -> str:
        return _anchor(self.name)


def _anchor(name: str) -> str:
    return f"#{path_name(name)}"


def _open(connection: sqlite3.Connection, data: bytes, rules: ReadingRules) -> None:
    held = bytearray(data)
    if data[18:20] == b"\x02\x02":  # with a write-ahead log, which a database in memory cannot have
        held[18:20] = b"\x01\x01"
    connection.deserialize(bytes(held))
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, rules.max_member_bytes)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 0)
    for pragma in ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0"):
        connection.execute(f"PRAGMA {pragma}")
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _virtual_tables(connection: sqlite3.Connection) -> list[str]:
    """Their names. What they keep in tables of their own (`shadow`) is no row of anybody's."""
    listed = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'virtual' ORDER BY name"
    return [name for (name,) in connection.execute(listed).fetchall()]


def _tables(connection: sqlite3.Connection) -> Iterator[_Table]:
    found = connection.execute("SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' ORDER BY name")
    described = []
    for name, kind, without_row_id in found.fetchall():
        if kind == "table" and not name.startswith("sqlite_"):
            listed = connection.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden IN (0, 2, 3)", [name])
            described.append((name, tuple(column for (column,) in listed.fetchmany(_MOST_COLUMNS)), without_row_id))
    for name, columns, without_row_id in described:
        taken = {column.lower() for column in columns}
        row_id = next((one for one in ("rowid", "_rowid_", "oid") if one not in taken), "")
        try:
            (rows,) = connection.execute(f"SELECT count(*) FROM {_quoted(name)}").fetchone()
        except sqlite3.Error:
            rows = 1  # reading it will say what is wrong
        if rows and columns:
            yield _Table(name, columns, "" if without_row_id else row_id, rows)


def _records(
    connection: sqlite3.Connection, table: _Table, rules: ReadingRules, shares: _Shares
) -> Iterator[Record | Refused]:
    to_text = FieldsToText(rules, has_text_field=rules.text_field in table.columns)
    misfit = to_text.misfit(table.columns)
    if misfit:
        yield Refused(*misfit, shares.next(table.rows), table.anchor)
        return
    wanted = ", ".join(map(_quoted, table.columns))
    key = f"{table.row_id}, " if table.row_id else ""
    order = f" ORDER BY {table.row_id}" if table.row_id else ""
    steps = _Steps(connection)
    number, last = 0, -(1 << 63) - 1
    try:
        rows = connection.execute(f"SELECT {key}{wanted} FROM {_quoted(table.name)}{order}")
        for row in rows:
            steps.restart()
            number += 1
            row_number, cells = (row[0], row[1:]) if key else (number, row)
            if row_number <= last:
                raise sqlite3.DatabaseError("its rows are not in their order")
            last = row_number
            share = shares.next() if number <= table.rows else 0
            yield _record(to_text, table, cells, share, f"{table.anchor}/{row_number}")
    except (sqlite3.Error, OverflowError, UnicodeError) as error:
        lost = max(table.rows - number, 0)
        yield Refused("damaged", f"after {number} rows: {complaint(error)}", shares.next(lost), f"{table.anchor}/")


def _record(to_text: FieldsToText, table: _Table, cells: tuple[Any, ...], share: int, anchor: str) -> Record | Refused:
    fields = dict(zip(table.columns, cells, strict=True))
    for name, value in fields.items():
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return Refused("undecodable", f"column {list(fields).index(name) + 1} is not UTF-8", share, anchor)
    return to_text.record(fields, share, anchor)


class _Steps:
    """Interrupts a statement that computes for too long between two rows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._left = _STEPS
        connection.set_progress_handler(self._count, 10_000)

    def restart(self) -> None:
        self._left = _STEPS

    def _count(self) -> int:
        self._left -= 10_000
        return int(self._left < 0)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
