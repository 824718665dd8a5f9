"""What callers said of responses: a thumb, a correction, which of two answers is better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Row

from loresmith.errors import UserError
from loresmith.ledger.clock import timestamp
from loresmith.ledger.database import Database
from loresmith.ledger.digest import canonical_json, parse_json
from loresmith.ledger.log import Log
from loresmith.ledger.schema import FEEDBACK

_WINDOW = 500


@dataclass(frozen=True, slots=True)
class Feedback:
    """One thing that was said. `leaf` is where it stands in the log."""

    id: str
    response: str
    tenant: str
    principal: str
    facts: Mapping[str, Any]
    content: bytes | None
    """Encrypted, like that of audit records."""
    at: str
    leaf: int


class FeedbackRecords:
    """The feedback of one ledger."""

    def __init__(self, database: Database, log: Log) -> None:
        self._database = database
        self._log = log

    def add(
        self,
        id: str,
        response: str,
        tenant: str,
        principal: str,
        facts: Mapping[str, Any],
        content: bytes | None = None,
        *,
        at: str | None = None,
    ) -> Feedback:
        """Enter what was said of a response. Raises UserError if there is feedback with this id already."""
        at = at or timestamp()
        row = {
            "id": id,
            "response": response,
            "tenant": tenant,
            "principal": principal,
            "facts": canonical_json(dict(facts)).decode(),
            "content": content,
            "at": at,
        }
        with self._database.write() as connection:
            if connection.execute(sql.select(FEEDBACK.c.id).where(FEEDBACK.c.id == id)).first():
                raise UserError(f"there is feedback with the id {id} already")
            self._log.append(connection, "feedback", id, {FEEDBACK: [row]}, at=at)
            return _feedback(connection.execute(sql.select(FEEDBACK).where(FEEDBACK.c.id == id)).one())

    def list(
        self,
        *,
        response: str | None = None,
        tenant: str | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> Iterator[Feedback]:
        """The feedback for which all that is given holds, in the order of the log.

        Args:
            since: that of this time and later (a `timestamp`).
            until: that before this time.
        """
        query = sql.select(FEEDBACK).order_by(FEEDBACK.c.leaf).limit(_WINDOW)
        if response is not None:
            query = query.where(FEEDBACK.c.response == response)
        if tenant is not None:
            query = query.where(FEEDBACK.c.tenant == tenant)
        if since is not None:
            query = query.where(FEEDBACK.c.at >= since)
        if until is not None:
            query = query.where(FEEDBACK.c.at < until)
        last = -1
        while True:
            with self._database.read() as connection:
                rows = connection.execute(query.where(FEEDBACK.c.leaf > last)).all()
            yield from map(_feedback, rows)
            if len(rows) < _WINDOW:
                return
            last = rows[-1].leaf


def _feedback(row: Row[Any]) -> Feedback:
    return Feedback(
        id=row.id,
        response=row.response,
        tenant=row.tenant,
        principal=row.principal,
        facts=parse_json(row.facts),
        content=None if row.content is None else bytes(row.content),
        at=row.at,
        leaf=row.leaf,
    )
