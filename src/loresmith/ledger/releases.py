"""Releases: names whose channels point at assets. Promotion and rollback are events; nothing is ever edited."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

import sqlalchemy as sql
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.engine import Connection

from loresmith.errors import Failure, UserError
from loresmith.ledger.assets import Assets
from loresmith.ledger.clock import timestamp
from loresmith.ledger.database import Database
from loresmith.ledger.erasures import Erasures
from loresmith.ledger.log import Log
from loresmith.ledger.schema import RELEASE_CHANNEL, RELEASE_EVENT
from loresmith.nearest import unknown_name

Channel = Literal["candidate", "production"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_LIKE_A_DIGEST = re.compile(r"[0-9a-f]{8,64}")


class ReleaseEvent(BaseModel):
    """One promotion or rollback."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int = Field(description="Its leaf in the log.")
    name: str
    channel: Channel
    action: Literal["promote", "rollback"]
    asset: str = Field(description="What the channel points at from here on.")
    previous: str | None = Field(description="What it pointed at before.")
    reason: str = Field(description="Why, in the words of who did it.")
    actor: str
    at: str


class Release(BaseModel):
    """A release as it stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    channels: dict[Channel, str] = Field(description="Digest of the asset that each channel points at.")


class Releases:
    """The releases of one ledger."""

    def __init__(self, database: Database, log: Log, assets: Assets, erasures: Erasures, actor: str) -> None:
        self._database = database
        self._log = log
        self._assets = assets
        self._erasures = erasures
        self._actor = actor

    def promote(
        self, name: str, asset_digest: str, channel: Channel, reason: str, although_tainted: str = ""
    ) -> ReleaseEvent:
        """Point a channel of a release, which need not exist yet, at an asset.

        Args:
            although_tainted: why an asset is promoted that was made from documents that have since been erased; it
                goes on record with the reason.

        Raises:
            UserError: the name or channel is not one, the reason is empty, or there is no such asset; or the asset was
                erased, or is tainted and nobody says why that may be.
            Failure: a blob of the asset is missing.
        """
        check_name(name)
        _check_channel(channel)
        if not reason.strip():
            raise UserError("a promotion needs a reason", where=name, hint="say why: it stays on the record")
        self._assets.require_blobs(asset_digest)
        reason = self._with_taint(name, asset_digest, reason, although_tainted)
        with self._database.write() as connection:
            return self._enter(connection, name, channel, "promote", asset_digest, reason)

    def rollback(
        self, name: str, channel: Channel = "production", reason: str = "", although_tainted: str = ""
    ) -> ReleaseEvent:
        """Point a channel back at the target before the current one that was not itself rolled away from.

        Raises:
            UserError: there is no such release or channel, or nothing to go back to; or the target is tainted, as of
                `promote`.
            Failure: the blobs of that target are missing or damaged; the channel stays as it is.
        """
        _check_channel(channel)
        with self._database.read() as connection:
            target = _before(connection, name, channel)
        # Hashing a model takes minutes: nobody else waits for it, and the target is looked up again below.
        self._assets.require_content(target)
        self._require_whole(name, target)
        reason = self._with_taint(name, target, reason, although_tainted)
        with self._database.write() as connection:
            if _before(connection, name, channel) != target:
                raise UserError(
                    "somebody else has just moved this channel", where=f"{name}@{channel}", hint="look again"
                )
            return self._enter(connection, name, channel, "rollback", target, reason)

    def history(self, name: str) -> list[ReleaseEvent]:
        """All that happened to a release, the oldest first. Raises UserError if there is none."""
        with self._database.read() as connection:
            events = _events(connection, name)
            if not events:
                raise _unknown(connection, name)
        return events

    def target(self, name: str, channel: Channel) -> str | None:
        """The digest of the asset that a channel points at, if there is such a channel yet."""
        with self._database.read() as connection:
            return _target(connection, name, channel)

    def _enter(
        self,
        connection: Connection,
        name: str,
        channel: Channel,
        action: Literal["promote", "rollback"],
        asset: str,
        reason: str,
    ) -> ReleaseEvent:
        event = ReleaseEvent(
            index=0,
            name=name,
            channel=channel,
            action=action,
            asset=asset,
            previous=_target(connection, name, channel),
            reason=reason,
            actor=self._actor,
            at=timestamp(),
        )
        rows = {RELEASE_EVENT: [event.model_dump(exclude={"index"})]}
        index = self._log.append(connection, f"release-{action}", f"{name}@{channel}", rows, at=event.at)
        where = sql.and_(RELEASE_CHANNEL.c.name == name, RELEASE_CHANNEL.c.channel == channel)
        if event.previous is None:
            connection.execute(sql.insert(RELEASE_CHANNEL).values(name=name, channel=channel, asset=asset, event=index))
        else:
            connection.execute(sql.update(RELEASE_CHANNEL).where(where).values(asset=asset, event=index))
        return event.model_copy(update={"index": index})

    def _with_taint(self, name: str, asset: str, reason: str, although_tainted: str) -> str:
        """The reason as it goes on record. Raises UserError for a tainted asset of which nobody says why it may be."""
        marks = self._erasures.marks().get(asset, ())
        if not marks:
            return reason
        erased = "; ".join(f"{mark.erasure} on {mark.at[:10]}, because {mark.because}" for mark in marks)
        if not although_tainted.strip():
            raise UserError(
                f"this asset was made from documents that have since been erased ({erased})",
                where=f"{name}, asset {asset[:12]}",
                hint="run its recipe again, without them; or say why it may be used all the same, with "
                "`--although-tainted`, which stays on the record",
            )
        return f"{reason} (although tainted by {erased}: {although_tainted.strip()})"

    def _require_whole(self, name: str, asset: str) -> None:
        check = self._assets.verify(asset)
        if check.problems:
            raise Failure(
                f"the target to go back to is damaged: {check.problems[0]}",
                where=f"{name}, asset {asset}",
                hint="the channel was left as it is; restore the blobs, or promote another asset",
            )

    def list(self) -> list[Release]:
        """All releases, by name."""
        query = sql.select(RELEASE_CHANNEL.c.name, RELEASE_CHANNEL.c.channel, RELEASE_CHANNEL.c.asset)
        found: dict[str, dict[Channel, str]] = {}
        with self._database.read() as connection:
            for name, channel, asset in connection.execute(query):
                found.setdefault(name, {})[channel] = asset
        return [Release(name=name, channels=dict(sorted(found[name].items()))) for name in sorted(found)]


def previous_target(events: Sequence[ReleaseEvent], where: str) -> str:
    """Where a rollback goes after these events of one channel.

    A promotion puts its target on top of a stack, unless it is there already, and a rollback takes the topmost off.
    Raises UserError, naming `where`, if nothing is below the current target.
    """
    stack: list[str] = []
    for event in events:
        if event.action == "rollback":
            stack.pop()
        elif not stack or stack[-1] != event.asset:
            stack.append(event.asset)
    if len(stack) < 2:
        raise UserError("there is no earlier target to go back to", where=where)
    return stack[-2]


def check_name(name: str) -> None:
    """Raise UserError if a release cannot be called that."""
    if not _NAME.fullmatch(name) or _LIKE_A_DIGEST.fullmatch(name):
        raise UserError(
            f"{name!r} cannot be the name of a release",
            hint="lower-case letters, digits, '.', '_' and '-', up to 100, and not what could be taken for a digest",
        )


def _check_channel(channel: str) -> None:
    if channel not in get_args(Channel):
        raise UserError(unknown_name("channel", channel, get_args(Channel)))


def _target(connection: Connection, name: str, channel: str) -> str | None:
    columns = RELEASE_CHANNEL.c
    query = sql.select(columns.asset).where(columns.name == name, columns.channel == channel)
    found = connection.execute(query).scalar()
    return None if found is None else str(found)


def _events(connection: Connection, name: str) -> list[ReleaseEvent]:
    query = sql.select(RELEASE_EVENT).where(RELEASE_EVENT.c.name == name).order_by(RELEASE_EVENT.c.leaf)
    found = []
    for row in connection.execute(query):
        facts = dict(row._mapping)
        found.append(ReleaseEvent(index=facts.pop("leaf"), **facts))
    return found


def _before(connection: Connection, name: str, channel: str) -> str:
    events = _events(connection, name)
    if not events:
        raise _unknown(connection, name)
    return previous_target([event for event in events if event.channel == channel], f"{name}@{channel}")


def _unknown(connection: Connection, name: str) -> UserError:
    known = connection.execute(sql.select(RELEASE_CHANNEL.c.name).distinct()).scalars()
    return UserError(unknown_name("release", name, known))
