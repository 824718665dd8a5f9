"""What is asked of a blob that is not there: was it erased, and by which erasure?"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sql
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.engine import Connection

from loresmith.errors import UserError
from loresmith.ledger.schema import ERASURE, TOMBSTONE

_AT_ONCE = 500

MADE_ANEW = "run the recipe again: what was not erased is read anew, and it is made without what was"


class Tombstone(BaseModel):
    """What is left of a blob that was erased: its digest, and who erased it, when and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blob: str = Field(description="The digest of the bytes that are gone.")
    erasure: str = Field(description="The erasure that took them.")
    because: str = Field(description="Why, in the words of who did it.")
    actor: str
    at: str

    @property
    def said(self) -> str:
        """Who, when and why, as it follows `was`."""
        return f"erased on {self.at[:10]} by {self.actor}, because {self.because} (erasure {self.erasure})"


def tombstones(connection: Connection, blobs: Collection[str] | None = None) -> dict[str, Tombstone]:
    """The tombstones of these blobs, or all; of a blob that was erased more than once, the first."""
    columns = (TOMBSTONE.c.blob, TOMBSTONE.c.erasure, ERASURE.c.because, ERASURE.c.actor, ERASURE.c.at)
    query = sql.select(*columns).join_from(TOMBSTONE, ERASURE, TOMBSTONE.c.erasure == ERASURE.c.id)
    query = query.order_by(TOMBSTONE.c.leaf)
    if blobs is None:
        rows = list(connection.execute(query))
    elif not connection.execute(sql.select(TOMBSTONE.c.blob).limit(1)).first():
        return {}
    else:
        wanted = sorted(blobs)
        rows = [
            row
            for start in range(0, len(wanted), _AT_ONCE)
            for row in connection.execute(query.where(TOMBSTONE.c.blob.in_(wanted[start : start + _AT_ONCE])))
        ]
    found: dict[str, Tombstone] = {}
    for row in rows:
        found.setdefault(row.blob, Tombstone(**row._mapping))
    return found


def require_not_erased(connection: Connection, blobs: Collection[str], called: str) -> None:
    """Raise UserError if bytes of these digests were erased: they are not taken in again."""
    for tombstone in tombstones(connection, blobs).values():
        raise UserError(
            f"{called} holds what was {tombstone.said}",
            where=f"blob {tombstone.blob}",
            hint="what was erased is not taken in again; leave it out, and what says just the same",
        )
