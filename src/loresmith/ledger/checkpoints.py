"""Checkpoints: states from which a step under way can go on."""

from __future__ import annotations

import sqlalchemy as sql
from pydantic import BaseModel, ConfigDict, Field

from loresmith.ledger.clock import timestamp
from loresmith.ledger.database import Database
from loresmith.ledger.log import Log
from loresmith.ledger.runs import require_run
from loresmith.ledger.schema import CHECKPOINT


class Checkpoint(BaseModel):
    """One saved state."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action_key: str = Field(description="The action that is under way.")
    run: str = Field(description="The run that saved it.")
    path: str = Field(description="Where it lies, relative to the workspace's work directory.")
    digest: str = Field(description="Digest of its content, as whoever saved it computes it.")
    position: float = Field(description="How far the step was.")
    bytes: int = Field(ge=0)
    at: str


class Checkpoints:
    """The checkpoints of one ledger."""

    def __init__(self, database: Database, log: Log) -> None:
        self._database = database
        self._log = log

    def add(self, action_key: str, run: str, path: str, digest: str, position: float, bytes: int) -> Checkpoint:
        """Enter a state that is safely on the disk."""
        checkpoint = Checkpoint(
            action_key=action_key, run=run, path=path, digest=digest, position=position, bytes=bytes, at=timestamp()
        )
        with self._database.write() as connection:
            require_run(connection, run)
            rows = {CHECKPOINT: [checkpoint.model_dump()]}
            self._log.append(connection, "checkpoint", action_key, rows, at=checkpoint.at)
        return checkpoint

    def list(self, action_key: str) -> list[Checkpoint]:
        """The states saved for an action, the newest first. Their files may be gone: a newer one replaces an older."""
        columns = [column for column in CHECKPOINT.c if column.name != "leaf"]
        query = sql.select(*columns).where(CHECKPOINT.c.action_key == action_key).order_by(CHECKPOINT.c.leaf.desc())
        with self._database.read() as connection:
            return [Checkpoint.model_validate(dict(row._mapping)) for row in connection.execute(query)]
