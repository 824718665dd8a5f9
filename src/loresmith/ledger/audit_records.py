"""Audit records: what the gateway was asked, by whom, and what came of it; one leaf of the log for each.

Who writes them (`loresmith.serving.audit`) says what stands in `facts` and how `content` is encrypted. Here they are
rows that can be found by time, response, tenant, principal and release.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sql
from sqlalchemy.engine import Row

from loresmith.ledger.database import Database
from loresmith.ledger.log import Entry, Log
from loresmith.ledger.schema import AUDIT_RECORD

Phase = Literal["intent", "outcome"]

# Records are read so many at a time, each time in a transaction of its own: a long search holds nobody up.
_WINDOW = 1000
_WINDOW_WITH_CONTENT = 100


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One record as it is stored. `leaf` is where it stands in the log; -1 before it does."""

    response: str
    phase: Phase
    at: str
    tenant: str
    principal: str
    release: str
    facts: str
    """Canonical JSON."""
    content: bytes | None = None
    """Encrypted; None where there is none, or where it was not read."""
    leaf: int = -1
    kept: bool = False
    """Of what was read: whether there is content."""


class AuditRecords:
    """The audit records of one ledger."""

    def __init__(self, database: Database, log: Log) -> None:
        self._database = database
        self._log = log

    def append(self, records: Sequence[AuditRow]) -> range:
        """Write records in one transaction, a leaf each; returns the leaves. They are on the disk when this returns.

        Raises:
            Failure: they could not be written; then none of them is there.
        """
        entries = [
            Entry(f"audit-{record.phase}", record.response, {AUDIT_RECORD: [_columns(record)]}, record.at)
            for record in records
        ]
        with self._database.write() as connection:
            return self._log.append_many(connection, entries)

    def note(self, kind: str, key: str) -> int:
        """Write a leaf without a record, such as one that says that records could not be written for a while."""
        with self._database.write() as connection:
            return self._log.append(connection, kind, key, {})

    def of(self, response: str) -> list[AuditRow]:
        """The records of one response, in the order in which they were written; empty if there are none."""
        query = sql.select(AUDIT_RECORD).where(AUDIT_RECORD.c.response == response).order_by(AUDIT_RECORD.c.leaf)
        with self._database.read() as connection:
            return [_record(row, row.content, row.content is not None) for row in connection.execute(query)]

    def search(
        self,
        *,
        since: str | None = None,
        until: str | None = None,
        phase: Phase | None = None,
        tenant: str | None = None,
        principal: str | None = None,
        release: str | None = None,
        content: bool = False,
        newest_first: bool = False,
    ) -> Iterator[AuditRow]:
        """The records for which all that is given holds, in the order of the log.

        Args:
            since: those of this time and later (a `timestamp`).
            until: those before this time.
            content: read their content, too; None otherwise.
        """
        wanted: list[sql.ColumnElement[bool]] = []
        if since is not None:
            wanted.append(AUDIT_RECORD.c.at >= since)
        if until is not None:
            wanted.append(AUDIT_RECORD.c.at < until)
        exactly = {"phase": phase, "tenant": tenant, "principal": principal, "release": release}
        wanted += [AUDIT_RECORD.c[name] == value for name, value in exactly.items() if value is not None]
        columns = [column for column in AUDIT_RECORD.c if content or column.name != "content"]
        kept = AUDIT_RECORD.c.content.is_not(None).label("kept")
        at_once = _WINDOW_WITH_CONTENT if content else _WINDOW
        leaf = AUDIT_RECORD.c.leaf
        query: sql.Select[Any] = sql.select(*columns, kept).where(*wanted).limit(at_once)
        query = query.order_by(leaf.desc() if newest_first else leaf)
        last: int | None = None
        while True:
            page = query if last is None else query.where(leaf < last if newest_first else leaf > last)
            with self._database.read() as connection:
                rows = connection.execute(page).all()
            for row in rows:
                yield _record(row, row.content if content else None, row.kept)
            if len(rows) < at_once:
                return
            last = rows[-1].leaf


def _columns(record: AuditRow) -> dict[str, Any]:
    return {
        "response": record.response,
        "phase": record.phase,
        "at": record.at,
        "tenant": record.tenant,
        "principal": record.principal,
        "release": record.release,
        "facts": record.facts,
        "content": record.content,
    }


def _record(row: Row[Any], content: bytes | None, kept: bool) -> AuditRow:
    return AuditRow(
        response=row.response,
        phase=row.phase,
        at=row.at,
        tenant=row.tenant,
        principal=row.principal,
        release=row.release,
        facts=row.facts,
        content=None if content is None else bytes(content),
        leaf=row.leaf,
        kept=bool(kept),
    )
