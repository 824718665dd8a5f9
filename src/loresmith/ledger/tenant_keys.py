"""When the keys that tenants' content is encrypted with were made and destroyed. The keys themselves are not here."""

from __future__ import annotations

from typing import Literal

import sqlalchemy as sql
from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import UserError
from loresmith.ledger.clock import timestamp
from loresmith.ledger.database import Database
from loresmith.ledger.log import Log
from loresmith.ledger.schema import TENANT_KEY_EVENT


class TenantKeyEvent(BaseModel):
    """A key was made, or destroyed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str
    key: str = Field(description="Names the key. A tenant whose key was destroyed gets another one, if need be.")
    action: Literal["made", "destroyed"]
    reason: str
    actor: str
    at: str


class TenantKeys:
    """The events of tenants' keys in one ledger."""

    def __init__(self, database: Database, log: Log, actor: str) -> None:
        self._database = database
        self._log = log
        self._actor = actor

    def made(self, tenant: str, key: str, reason: str) -> str:
        """Enter a key that is to be used for a tenant; returns the one that is: another, if it has one already."""
        with self._database.write() as connection:
            events = _events(connection, tenant)
            if events and events[-1].action == "made":
                return events[-1].key
            self._enter(connection, tenant, key, "made", reason)
        return key

    def destroyed(self, tenant: str, reason: str) -> str:
        """Say that the tenant's key is to be no more; returns it. Its bytes are the caller's to remove, now.

        Raises:
            UserError: there is no reason, or the tenant has no key.
        """
        if not reason.strip():
            raise UserError("an erasure needs a reason", hint="say why: it stays on the record")
        with self._database.write() as connection:
            events = _events(connection, tenant)
            if not events:
                raise UserError(f"the tenant {tenant} has no key: nothing of it is kept encrypted")
            if events[-1].action == "destroyed":
                last = events[-1]
                raise UserError(f"the key of {tenant} was destroyed already, on {last.at[:10]} by {last.actor}")
            self._enter(connection, tenant, events[-1].key, "destroyed", reason)
        return events[-1].key

    def list(self, tenant: str | None = None) -> list[TenantKeyEvent]:
        """What happened to the keys of one tenant, or of all, in order."""
        with self._database.read() as connection:
            return _events(connection, tenant)

    def version(self) -> int:
        """A number that is another one after every event; -1 while there are none."""
        with self._database.read() as connection:
            newest = connection.execute(sql.select(sql.func.max(TENANT_KEY_EVENT.c.leaf))).scalar()
        return -1 if newest is None else int(newest)

    def _enter(self, connection: sql.Connection, tenant: str, key: str, action: str, reason: str) -> None:
        at = timestamp()
        row = {"tenant": tenant, "key": key, "action": action, "reason": reason, "actor": self._actor, "at": at}
        self._log.append(connection, f"tenant-key-{action}", tenant, {TENANT_KEY_EVENT: [row]}, at=at)


def _events(connection: sql.Connection, tenant: str | None) -> list[TenantKeyEvent]:
    columns = [column for column in TENANT_KEY_EVENT.c if column.name != "leaf"]
    query = sql.select(*columns).order_by(TENANT_KEY_EVENT.c.leaf)
    if tenant is not None:
        query = query.where(TENANT_KEY_EVENT.c.tenant == tenant)
    return [TenantKeyEvent.model_validate(dict(row._mapping)) for row in connection.execute(query)]
