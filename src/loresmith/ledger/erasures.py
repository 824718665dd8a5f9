"""Erasures: documents that were taken out of the workspace for good, on the record.

An erasure is one leaf of the log: who, when and why, the digests by which the documents are known again, a tombstone
for every blob that goes, and a mark on every asset that is touched. The leaf comes first and the bytes go after it, so
that whoever is killed in between has said what is still to do; a second leaf says that it is done.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import sqlalchemy as sql
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.engine import Connection

from loresmith.errors import UserError
from loresmith.ledger.clock import timestamp
from loresmith.ledger.database import Database
from loresmith.ledger.digest import canonical_json, digest_of, parse_json
from loresmith.ledger.log import Log
from loresmith.ledger.runs import under_way
from loresmith.ledger.schema import ACTION, EDGE, ERASURE, ERASURE_END, MARK, TOMBSTONE
from loresmith.ledger.tombstones import Tombstone, tombstones

Effect = Literal["erased", "tainted"]


class ErasedDocument(BaseModel):
    """How a document that was erased is known again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(description="Its id: a digest of its path and of its file's bytes.")
    texts: tuple[str, ...] = Field(default=(), description="SHA-256 of its texts: the same text is the same document.")
    files: tuple[str, ...] = Field(default=(), description="SHA-256 of the files of which nothing is to be kept.")


class Erasure(BaseModel):
    """One erasure, as it is on the record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    because: str = Field(description="Why, in the words of who did it.")
    documents: tuple[ErasedDocument, ...] = Field(description="What was erased; never its text.")
    actor: str
    at: str
    done_at: str | None = Field(description="When the bytes were gone; null while that is not known.")


class Mark(BaseModel):
    """What an erasure did to an asset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asset: str
    erasure: str
    effect: Effect = Field(
        description="`erased`: bytes of it are gone; `tainted`: it was made from the document and is still there."
    )
    because: str
    actor: str
    at: str


class Erasures:
    """The erasures of one ledger."""

    def __init__(self, database: Database, log: Log, actor: str) -> None:
        self._database = database
        self._log = log
        self._actor = actor

    def enter(
        self,
        because: str,
        documents: Sequence[ErasedDocument],
        blobs: Collection[str],
        marks: Mapping[str, Effect],
    ) -> Erasure:
        """Put an erasure on the record; the bytes are the caller's to remove, and `end` says that they are gone.

        Args:
            blobs: whose bytes go. Those that an earlier erasure names are not named again.
            marks: what it does to assets, by their digests.

        Raises:
            UserError: there is no reason, or a run is under way, which could write again what is erased under it; or
                somebody else has erased all of it in the meantime.
        """
        if not because.strip():
            raise UserError("an erasure needs a reason", hint="say why: it stays on the record")
        with self._database.write() as connection:
            if at_work := under_way(connection):
                raise UserError(
                    f"a run is under way: {', '.join(at_work)}",
                    hint="wait until it has finished, or stop it: it could write again what is erased under it",
                )
            known = self._known(connection)
            gone = tombstones(connection, blobs)
            new = [blob for blob in sorted(blobs) if blob not in gone]
            if not new and all({document.id, *document.texts, *document.files} <= known for document in documents):
                raise UserError("this was erased already, by somebody else a moment ago")
            at = timestamp()
            said = canonical_json([document.model_dump(mode="json") for document in documents]).decode()
            erasure = f"{datetime.fromisoformat(at):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
            row = {"id": erasure, "because": because, "documents": said, "actor": self._actor, "at": at}
            rows = {
                ERASURE: [row],
                TOMBSTONE: [{"erasure": erasure, "blob": blob} for blob in new],
                MARK: [{"erasure": erasure, "asset": asset, "effect": marks[asset]} for asset in sorted(marks)],
            }
            self._log.append(connection, "erasure", erasure, rows, at=at)
            return _erasures(connection, erasure)[0]

    def end(self, erasure: str, bytes_: int) -> None:
        """Say that the bytes of an erasure are gone, and how many they were. Once said, it is not said again."""
        with self._database.write() as connection:
            if connection.execute(sql.select(ERASURE_END.c.at).where(ERASURE_END.c.erasure == erasure)).first():
                return
            at = timestamp()
            rows = {ERASURE_END: [{"erasure": erasure, "bytes": bytes_, "at": at}]}
            self._log.append(connection, "erasure-end", erasure, rows, at=at)

    def version(self) -> int:
        """A number that is another one after every erasure: cheap to ask, so that whoever keeps `marks` knows when to
        ask again. -1 while nothing was erased."""
        with self._database.read() as connection:
            newest = connection.execute(sql.select(sql.func.max(ERASURE.c.leaf))).scalar()
        return -1 if newest is None else int(newest)

    def list(self) -> list[Erasure]:
        """All erasures, the oldest first."""
        with self._database.read() as connection:
            return _erasures(connection)

    def unfinished(self) -> Sequence[Erasure]:
        """Those of which it is not known that the bytes are gone."""
        return [erasure for erasure in self.list() if erasure.done_at is None]

    def tombstones(self, erasure: str | None = None) -> dict[str, Tombstone]:
        """The blobs that were erased, of one erasure or of all."""
        with self._database.read() as connection:
            found = tombstones(connection)
        return {blob: each for blob, each in found.items() if erasure in (None, each.erasure)}

    def known(self) -> frozenset[str]:
        """All by which something erased is known again: ids of documents, digests of texts and of files."""
        with self._database.read() as connection:
            return self._known(connection)

    def digest(self) -> str | None:
        """A digest of `known`; None where nothing was ever erased. What depends on it is made anew after an erasure."""
        known = self.known()
        return digest_of(sorted(known)) if known else None

    def marks(self) -> dict[str, tuple[Mark, ...]]:
        """The marks of all assets that have one: those on the record, and those of what was made of such assets since.

        What was made before an erasure was looked at when it was entered; what is made later from a marked asset takes
        over that it is tainted.
        """
        with self._database.read() as connection:
            if not connection.execute(sql.select(MARK.c.asset).limit(1)).first():
                return {}
            erasures = {row.id: row for row in connection.execute(sql.select(ERASURE))}
            effects: dict[str, dict[str, Effect]] = {}
            for row in connection.execute(sql.select(MARK)):
                effects.setdefault(row.asset, {})[row.erasure] = row.effect
            first = min(row.leaf for row in erasures.values())
            later = (
                sql.select(ACTION.c.leaf, EDGE.c.direction, EDGE.c.asset)
                .join_from(ACTION, EDGE, EDGE.c.action == ACTION.c.key)
                .where(ACTION.c.leaf > first)
                .order_by(ACTION.c.leaf)
            )
            for leaf, rows in itertools.groupby(connection.execute(later).all(), lambda row: row.leaf):
                ends = [(row.direction, row.asset) for row in rows]
                inherited = {
                    erasure
                    for direction, asset in ends
                    if direction == "input"
                    for erasure in effects.get(asset, ())
                    if erasures[erasure].leaf < leaf
                }
                for direction, asset in ends:
                    if direction == "output":
                        for erasure in inherited:
                            effects.setdefault(asset, {}).setdefault(erasure, "tainted")
        return {
            asset: tuple(
                Mark(
                    asset=asset,
                    erasure=erasure,
                    effect=effect,
                    because=erasures[erasure].because,
                    actor=erasures[erasure].actor,
                    at=erasures[erasure].at,
                )
                for erasure, effect in sorted(of_asset.items())
            )
            for asset, of_asset in effects.items()
        }

    def _known(self, connection: Connection) -> frozenset[str]:
        return frozenset(_digests(_erasures(connection)))


def effect_of(marks: Iterable[Mark]) -> Literal["", "erased", "tainted"]:
    """The gravest effect of some marks; empty where there is none."""
    effects = {mark.effect for mark in marks}
    if "erased" in effects:
        return "erased"
    return "tainted" if effects else ""


def _digests(erasures: Iterable[Erasure]) -> Iterable[str]:
    for erasure in erasures:
        for document in erasure.documents:
            yield from (document.id, *document.texts, *document.files)


def _erasures(connection: Connection, only: str | None = None) -> list[Erasure]:
    query = (
        sql.select(ERASURE, ERASURE_END.c.at.label("done_at"))
        .outerjoin(ERASURE_END, ERASURE_END.c.erasure == ERASURE.c.id)
        .order_by(ERASURE.c.leaf)
    )
    if only is not None:
        query = query.where(ERASURE.c.id == only)
    return [
        Erasure(
            id=row.id,
            because=row.because,
            documents=parse_json(row.documents),
            actor=row.actor,
            at=row.at,
            done_at=row.done_at,
        )
        for row in connection.execute(query)
    ]
