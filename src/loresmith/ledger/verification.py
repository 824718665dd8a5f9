"""Does the ledger still say what it said? Every leaf against the tree, and every row against its leaf.

This finds whatever somebody with write access to the database changed without rewriting the whole log after it. Who
rewrites all of it is found by anyone who kept an older head: there is no consistency proof between the two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sql
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Table
from sqlalchemy.engine import Connection, Row

from loresmith.ledger import merkle, schema
from loresmith.ledger.description import describe
from loresmith.ledger.digest import canonical_json, parse_json

# Leaves are read so many at a time, with their rows: this bounds the memory.
_WINDOW = 256
_MOST_PROBLEMS = 100


class LogCheck(BaseModel):
    """What reading the whole log again showed."""

    model_config = ConfigDict(frozen=True)

    size: int = Field(description="How many leaves the head speaks of.")
    root: str = Field(description="The root recomputed from the leaves that are there.")
    problems: tuple[str, ...] = Field(description="One sentence each, in the order of the log; at most 100.")
    first_bad: int | None = Field(description="The first leaf that disagrees with the tree or with its rows.")


class Verification:
    """One pass over the log. `connection` is in a transaction that sees one state throughout."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._problems: list[str] = []
        self._first_bad: int | None = None
        self._span = merkle.CompactRange()
        # Once the tree is off every later root is, and says nothing new.
        self._tree_is_off = False

    def carry_out(self) -> LogCheck:
        head = self._connection.execute(sql.select(schema.LOG_HEAD)).one()
        start = 0
        while leaves := self._leaves(start):
            self._check_window(start, leaves)
            start = leaves[-1].number + 1
        self._check_head(head, start)
        self._check_strays(start)
        self._check_channels()
        return LogCheck(
            size=head.size,
            root=self._span.root().hex(),
            problems=tuple(self._problems),
            first_bad=self._first_bad,
        )

    def _note(self, problem: str, leaf: int | None = None) -> None:
        if leaf is not None and (self._first_bad is None or leaf < self._first_bad):
            self._first_bad = leaf
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(problem)

    def _leaves(self, start: int) -> Sequence[Row[Any]]:
        """The next leaves that there are, from `start` on."""
        leaf = schema.LOG_LEAF.c
        columns = (leaf.index.label("number"), leaf.kind, leaf.key, leaf.payload, leaf.hash, leaf.root)
        query: sql.Select[Any] = sql.select(*columns)
        return self._connection.execute(query.where(leaf.index >= start).order_by(leaf.index).limit(_WINDOW)).all()

    def _check_window(self, start: int, leaves: Sequence[Row[Any]]) -> None:
        rows: dict[int, list[tuple[Table, Row[Any]]]] = defaultdict(list)
        for table in schema.DESCRIBED:
            query = sql.select(table).where(table.c.leaf >= start, table.c.leaf <= leaves[-1].number)
            for row in self._connection.execute(query):
                rows[row.leaf].append((table, row))
        expected = start
        for leaf in leaves:
            if leaf.number > expected:
                missing = f"leaf {expected} is" if leaf.number == expected + 1 else f"leaves from {expected} on are"
                self._note(f"{missing} missing", expected)
                self._tree_is_off = True
            expected = leaf.number + 1
            self._check_leaf(leaf)
            self._check_rows(leaf, rows.pop(leaf.number, []))
        for number in sorted(rows):
            self._note(f"the table {rows[number][0][0].name} has rows of leaf {number}, which is missing", number)

    def _check_leaf(self, leaf: Row[Any]) -> None:
        hashed = merkle.leaf_hash(leaf.payload.encode())
        if hashed.hex() != leaf.hash:
            self._note(f"{_name(leaf)}: its payload does not hash to its hash", leaf.number)
        self._span.append(hashed)
        if not self._tree_is_off and self._span.root().hex() != leaf.root:
            self._tree_is_off = True
            self._note(f"{_name(leaf)}: the tree up to it has another root", leaf.number)

    def _check_rows(self, leaf: Row[Any], rows: list[tuple[Table, Row[Any]]]) -> None:
        try:
            said = parse_json(leaf.payload)
            kind, key, described = said["kind"], said["key"], dict(said["rows"])
        except (ValueError, KeyError, TypeError):
            self._note(f"{_name(leaf)}: its payload cannot be read", leaf.number)
            return
        if (kind, key) != (leaf.kind, leaf.key):
            self._note(f"{_name(leaf)}: its payload speaks of {kind} {key}", leaf.number)
        found = describe(rows)
        for table in sorted(described.keys() | found.keys()):
            if described.get(table) != found.get(table):
                difference = _difference(described.get(table), found.get(table))
                self._note(f"{_name(leaf)}: the table {table} {difference}", leaf.number)

    def _check_head(self, head: Row[Any], end: int) -> None:
        """The head against the leaves, which end before `end`."""
        if head.size != end:
            self._note(f"the head speaks of {head.size} leaves, and they end at {end}", min(head.size, end))
            return
        peaks = canonical_json([peak.hex() for peak in self._span.peaks]).decode()
        if not self._tree_is_off and (head.root != self._span.root().hex() or head.peaks != peaks):
            self._note("the head has another root than the leaves")

    def _check_strays(self, end: int) -> None:
        """Leaves before the first, and rows before the first leaf or after the last."""
        count = sql.select(sql.func.count())
        if self._connection.execute(count.where(schema.LOG_LEAF.c.index < 0)).scalar_one():
            self._note("there are leaves before the first")
        for table in schema.DESCRIBED:
            strays = self._connection.execute(count.where((table.c.leaf < 0) | (table.c.leaf >= end))).scalar_one()
            if strays:
                self._note(f"the table {table.name} has {strays} rows that no leaf describes")

    def _check_channels(self) -> None:
        """The projection of releases against the newest event of each channel.

        It is only as good as the events: while a leaf before it is bad, that one is the first.
        """
        known_bad = self._first_bad is not None
        event, channel = schema.RELEASE_EVENT.c, schema.RELEASE_CHANNEL.c
        newest = sql.select(sql.func.max(event.leaf)).group_by(event.name, event.channel)
        events = sql.select(event.name, event.channel, event.asset, event.leaf).where(event.leaf.in_(newest))
        expected = {(row.name, row.channel): (row.asset, row.leaf) for row in self._connection.execute(events)}
        channels = sql.select(channel.name, channel.channel, channel.asset, channel.event)
        found = {(row.name, row.channel): (row.asset, row.event) for row in self._connection.execute(channels)}
        for name, way in sorted(expected.keys() | found.keys()):
            said = expected.get((name, way))
            if said != found.get((name, way)):
                leaf = None if known_bad else (said or found[name, way])[1]
                self._note(f"the release {name}@{way} does not point where its last event says", leaf)


def _name(leaf: Row[Any]) -> str:
    return f"leaf {leaf.number} ({leaf.kind} {leaf.key})"


def _difference(described: Any, found: Any) -> str:
    if found is None:
        return "lacks the rows that it describes"
    if described is None:
        return "has rows that it does not describe"
    return "has other rows than it describes"
