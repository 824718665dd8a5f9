"""Credentials of the gateway's callers: made, given a new secret, revoked; each of these is an event, never an edit.

The ledger keeps keyed hashes of the secrets. What they are keyed with lies elsewhere, so that nobody who reads the
ledger can try secrets against it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sql
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.engine import Connection, Row

from loresmith.errors import UserError
from loresmith.ledger.clock import timestamp
from loresmith.ledger.database import Database
from loresmith.ledger.digest import canonical_json, parse_json
from loresmith.ledger.log import Log
from loresmith.ledger.schema import CREDENTIAL_EVENT
from loresmith.nearest import unknown_name


class Credential(BaseModel):
    """A credential as its latest event left it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(description="Its id, which is no secret.")
    principal: str = Field(description="Whom it speaks for: `user:ada`, `service:crm`.")
    groups: tuple[str, ...] = Field(description="Groups that whoever holds it is in, besides those of the principal.")
    hash: str = Field(description="The keyed hash of its secret.")
    expires_at: str | None = Field(description="From when on it is no longer good; null for never.")
    previous_hash: str | None = Field(description="The hash of the secret before the last rotation.")
    previous_until: str | None = Field(description="Until when that one is good as well.")
    revoked: bool
    reason: str = Field(description="Why its latest event came about.")
    actor: str = Field(description="Whose doing that was.")
    created_at: str
    at: str = Field(description="When its latest event was.")


class Credentials:
    """The credentials of one ledger."""

    def __init__(self, database: Database, log: Log, actor: str) -> None:
        self._database = database
        self._log = log
        self._actor = actor

    def create(
        self, key: str, principal: str, groups: Sequence[str], hash: str, expires_at: str | None, reason: str
    ) -> Credential:
        """Enter a new credential. Raises UserError if there is, or ever was, one with this id."""
        with self._database.write() as connection:
            if _events(connection, key):
                raise UserError(
                    f"there is a key {key} already", hint="ids are not used twice, not even of revoked keys"
                )
            row = {"principal": principal, "groups": canonical_json(sorted(set(groups))).decode(), "hash": hash}
            return self._enter(connection, key, "created", {**row, "expires_at": expires_at}, reason)

    def rotate(
        self, key: str, hash: str, previous_until: str, reason: str, *, expires_at: str | None = None
    ) -> Credential:
        """Give a credential a new secret; the one before it is good until `previous_until`.

        Args:
            expires_at: until when the credential is good from now on; None leaves that as it was.

        Raises:
            UserError: there is no such credential, or it was revoked.
        """
        with self._database.write() as connection:
            current = _require(connection, key)
            row = {**_kept(current), "hash": hash, "previous_until": previous_until}
            if expires_at is not None:
                row["expires_at"] = expires_at
            return self._enter(connection, key, "rotated", row, reason)

    def revoke(self, key: str, reason: str) -> Credential:
        """Make a credential worthless from now on, its secret before a rotation included.

        Raises:
            UserError: there is no such credential, or it was revoked already.
        """
        with self._database.write() as connection:
            return self._enter(connection, key, "revoked", _kept(_require(connection, key)), reason)

    def get(self, key: str) -> Credential:
        """The credential of this id, revoked or not. Raises UserError, with the nearest ids, if there is none."""
        with self._database.read() as connection:
            return _find(connection, key)

    def list(self, *, revoked: bool = False) -> list[Credential]:
        """The credentials, the oldest first; those that were revoked only if asked for. Some may have expired."""
        with self._database.read() as connection:
            found = [_as_left(events) for events in _by_key(_events(connection))]
        found.sort(key=lambda credential: (credential.created_at, credential.key))
        return [credential for credential in found if revoked or not credential.revoked]

    def version(self) -> int:
        """A number that is another one after every event: cheap to ask, so that whoever keeps `list` knows when to ask
        again. -1 while there are no credentials."""
        with self._database.read() as connection:
            newest = connection.execute(sql.select(sql.func.max(CREDENTIAL_EVENT.c.leaf))).scalar()
        return -1 if newest is None else int(newest)

    def _enter(self, connection: Connection, key: str, action: str, facts: dict[str, Any], reason: str) -> Credential:
        if not reason.strip():
            raise UserError("a change of a key needs a reason", hint="say why: it stays on the record")
        at = timestamp()
        row = {
            "expires_at": None,
            "previous_until": None,
            **facts,
            "key": key,
            "action": action,
            "reason": reason,
            "actor": self._actor,
            "at": at,
        }
        self._log.append(connection, f"credential-{action}", key, {CREDENTIAL_EVENT: [row]}, at=at)
        return _find(connection, key)


def _events(connection: Connection, key: str | None = None) -> Sequence[Row[Any]]:
    query = sql.select(CREDENTIAL_EVENT).order_by(CREDENTIAL_EVENT.c.key, CREDENTIAL_EVENT.c.leaf)
    return connection.execute(query if key is None else query.where(CREDENTIAL_EVENT.c.key == key)).all()


def _by_key(events: Iterable[Row[Any]]) -> Iterable[Sequence[Row[Any]]]:
    return [list(of_key) for _key, of_key in itertools.groupby(events, lambda event: event.key)]


def _as_left(events: Sequence[Row[Any]]) -> Credential:
    """The credential after all of its events, the oldest first."""
    latest = events[-1]
    secrets = [event.hash for event in events if event.action != "revoked"]
    return Credential(
        key=latest.key,
        principal=latest.principal,
        groups=tuple(parse_json(latest.groups)),
        hash=latest.hash,
        expires_at=latest.expires_at,
        previous_hash=secrets[-2] if len(secrets) > 1 else None,
        previous_until=latest.previous_until,
        revoked=latest.action == "revoked",
        reason=latest.reason,
        actor=latest.actor,
        created_at=events[0].at,
        at=latest.at,
    )


def _find(connection: Connection, key: str) -> Credential:
    if events := _events(connection, key):
        return _as_left(events)
    known = connection.execute(sql.select(CREDENTIAL_EVENT.c.key).distinct()).scalars()
    raise UserError(unknown_name("key", key, known))


def _require(connection: Connection, key: str) -> Credential:
    current = _find(connection, key)
    if current.revoked:
        raise UserError(f"the key {key} was revoked on {current.at[:10]} by {current.actor}", hint="make a new one")
    return current


def _kept(current: Credential) -> dict[str, Any]:
    """What an event leaves as it was."""
    return {
        "principal": current.principal,
        "groups": canonical_json(list(current.groups)).decode(),
        "hash": current.hash,
        "expires_at": current.expires_at,
    }
