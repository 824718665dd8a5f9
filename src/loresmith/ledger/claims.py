"""Claims: which run is at work on an action, so that two runs of one plan do the work once.

Claims are operational: they change and vanish, and the log does not cover them.
"""

from __future__ import annotations

import sqlalchemy as sql
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.engine import Connection

from loresmith.ledger.clock import seconds_since, timestamp
from loresmith.ledger.database import Database
from loresmith.ledger.liveness import this_host
from loresmith.ledger.runs import BEAT_SECONDS, require_run
from loresmith.ledger.schema import CLAIM


class Claim(BaseModel):
    """A run's hold on an action."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action_key: str
    run: str = Field(description="The run that holds it.")
    at: str = Field(description="When it was taken, or last confirmed.")


class Claims:
    """The claims of one ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, action_key: str, run: str) -> bool:
        """Take the claim, or confirm it; False while another run that is alive holds it.

        A claim whose run has ended, or whose process is gone, is taken over.
        """
        with self._database.write_aside() as connection:
            require_run(connection, run)
            made = {"action_key": action_key, "run": run, "at": timestamp()}
            if self._insert(connection, made):
                return True
            query = sql.select(CLAIM).where(CLAIM.c.action_key == action_key).with_for_update()
            held = connection.execute(query).first()
            if held is None or (held.run != run and _is_alive(connection, held.run, held.at)):
                return False
            connection.execute(sql.update(CLAIM).where(CLAIM.c.action_key == action_key).values(made))
            return True

    def holder(self, action_key: str) -> Claim | None:
        """The claim of a run that is alive; None if there is none."""
        with self._database.read() as connection:
            held = connection.execute(sql.select(CLAIM).where(CLAIM.c.action_key == action_key)).first()
            if held is None or not _is_alive(connection, held.run, held.at):
                return None
        return Claim(action_key=held.action_key, run=held.run, at=held.at)

    def release(self, action_key: str, run: str) -> None:
        """Give the claim up, if this run holds it."""
        with self._database.write_aside() as connection:
            connection.execute(sql.delete(CLAIM).where(CLAIM.c.action_key == action_key, CLAIM.c.run == run))

    def beat(self, action_key: str, run: str) -> None:
        """Confirm the claim, if this run holds it."""
        with self._database.write_aside() as connection:
            mine = sql.and_(CLAIM.c.action_key == action_key, CLAIM.c.run == run)
            connection.execute(sql.update(CLAIM).where(mine).values(at=timestamp()))

    def _insert(self, connection: Connection, claim: dict[str, str]) -> bool:
        """Enter the claim unless there is one; on PostgreSQL this waits for another who is about to."""
        if connection.dialect.name == "postgresql":
            from sqlalchemy.dialects.postgresql import insert
        else:
            from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
        statement = insert(CLAIM).values(claim).on_conflict_do_nothing()
        return connection.execute(statement).rowcount == 1


def _is_alive(connection: Connection, run: str, at: str) -> bool:
    """Whether a claim's holder still is: its run is under way, or the claim was confirmed a moment ago from afar."""
    holder = require_run(connection, run)
    if holder.status == "running":
        return True
    return holder.ended_at is None and holder.host != this_host() and seconds_since(at) < BEAT_SECONDS
