"""Actions: what a step did once, with which inputs and settings, and which assets it made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Table
from sqlalchemy.engine import Connection, Row

from loresmith.errors import UserError
from loresmith.ledger.assets import Assets, Prepared, remove
from loresmith.ledger.books import Books
from loresmith.ledger.clock import timestamp
from loresmith.ledger.database import Database
from loresmith.ledger.digest import canonical_json, parse_json
from loresmith.ledger.liveness import this_host
from loresmith.ledger.log import Log
from loresmith.ledger.receipts import Receipts
from loresmith.ledger.schema import ACTION, ASSET, BLOB, EDGE, RECEIPT, RUN


class OutputRecord(BaseModel):
    """One output of an action, before it is an asset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(description="The asset's kind.")
    directory: Path = Field(description="Where its files are.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="Facts that follow from the content.")
    labels: tuple[str, ...] = Field(default=(), description="Access labels.")
    move: bool = Field(
        default=False, description="Give the directory up: no copy where that can be, and gone in the end."
    )


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(description="Digest of step, version, config, inputs, seed and software: same key, same outputs.")
    run: str = Field(description="The run that did it.")
    name: str = Field(description="The step's name in the recipe.")
    recipe: str = Field(description="The recipe's name.")
    step: str = Field(description="Which kind of step.")
    step_version: int = Field(ge=0)
    config: dict[str, Any] = Field(description="The settings, to the last default.")
    seed: int = Field(gt=-(2**53), lt=2**53, description="What all randomness was derived from; JSON holds it exactly.")
    environment: dict[str, Any] = Field(description="Software and machine; `host` names the machine.")
    inputs: dict[str, str] = Field(description="Digest of the asset for each input role.")
    books: Books = Field(description="What went in, and where it went.")
    seconds: float = Field(ge=0, description="Wall time.")
    peak_bytes: int = Field(ge=0, description="Largest resident memory of the step's processes, together.")


class ActionRecord(_Facts):
    """What the factory reports of a finished step."""

    outputs: dict[str, OutputRecord] = Field(description="What it made, by role.")
    checks: tuple[tuple[str, str, bool, dict[str, Any]], ...] = Field(
        default=(),
        description="Role, kind, passed and evidence of each check of an output or an input; each becomes a signed "
        "receipt.",
    )


class Action(_Facts):
    """One finished action of the ledger."""

    outputs: dict[str, str] = Field(description="Digest of the asset for each output role.")
    output_bytes: int = Field(ge=0, description="The bytes of all outputs together.")
    actor: str
    finished_at: str


class Actions:
    """The actions of one ledger."""

    def __init__(self, database: Database, log: Log, assets: Assets, receipts: Receipts, actor: str) -> None:
        self._database = database
        self._log = log
        self._assets = assets
        self._receipts = receipts
        self._actor = actor

    def find(self, key: str) -> Action | None:
        """The action of this key, if it was ever finished."""
        with self._database.read() as connection:
            return _found(connection, key)

    def record(self, record: ActionRecord) -> Action:
        """Enter a finished action: its new assets, itself, its edges and receipts, in one transaction and one leaf.

        If the key is there already, that action is returned and nothing is entered: same key, same assets.

        Raises:
            UserError: the run or an input is not in the ledger, a check names no output, or a directory is unusable.
            Failure: it cannot be stored; the ledger is as it was, and the directories too.
        """
        known = self.find(record.key)
        if known is None:
            prepared = {
                role: self._assets.prepare(
                    output.kind, output.directory, output.metadata, output.labels, link=output.move
                )
                for role, output in record.outputs.items()
            }
            receipts = self._signed(record, prepared)
            with self._database.write() as connection:
                known = _found(connection, record.key)
                if known is None:
                    _require(connection, record)
                    at = timestamp()
                    rows = self._rows(connection, record, prepared, receipts, at)
                    self._log.append(connection, "action", record.key, rows, at=at)
                    known = _found(connection, record.key)
        assert known is not None
        for output in record.outputs.values():
            if output.move and output.directory.exists():
                remove(output.directory)
        return known

    def past(self, step: str, limit: int = 20, host: str | None = None) -> list[Action]:
        """The newest actions of a kind of step on one machine (this one, if None), to forecast the next from."""
        query = (
            sql.select(ACTION.c.key)
            .where(ACTION.c.step == step, ACTION.c.host == (this_host() if host is None else host))
            .order_by(ACTION.c.leaf.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            found = [_found(connection, key) for key in connection.execute(query).scalars().all()]
        return [action for action in found if action is not None]

    def that_took(self, asset: str, step: str) -> list[Action]:
        """All actions of a kind of step that had an asset among their inputs, the newest first."""
        took = sql.select(EDGE.c.action).where(EDGE.c.direction == "input", EDGE.c.asset == asset)
        query = sql.select(ACTION.c.key).where(ACTION.c.step == step, ACTION.c.key.in_(took))
        with self._database.read() as connection:
            keys = connection.execute(query.order_by(ACTION.c.leaf.desc())).scalars().all()
            found = [_found(connection, key) for key in keys]
        return [action for action in found if action is not None]

    def _signed(self, record: ActionRecord, prepared: dict[str, Prepared]) -> list[dict[str, Any]]:
        receipts = []
        for ordinal, (role, kind, passed, evidence) in enumerate(record.checks):
            if role in prepared:
                asset = prepared[role].asset
            elif role in record.inputs:
                asset = self._assets.get(record.inputs[role])
            else:
                raise UserError(f"a check names {role!r}, and there is no such asset", where=f"step {record.name}")
            receipts.append(
                {**self._receipts.signed(asset.digest, asset.kind, kind, passed, evidence), "ordinal": ordinal}
            )
        return receipts

    def _rows(
        self,
        connection: Connection,
        record: ActionRecord,
        prepared: dict[str, Prepared],
        receipts: Sequence[dict[str, Any]],
        at: str,
    ) -> dict[Table, list[dict[str, Any]]]:
        # Two outputs may hold the same file, or be the same asset.
        blobs: dict[str, dict[str, Any]] = {}
        assets: dict[str, dict[str, Any]] = {}
        for output in prepared.values():
            new = output.missing_rows(connection, at)
            blobs |= {row["digest"]: row for row in new.get(BLOB, [])}
            assets |= {row["digest"]: row for row in new.get(ASSET, [])}
        edges = [("input", role, digest) for role, digest in record.inputs.items()]
        edges += [("output", role, output.asset.digest) for role, output in prepared.items()]
        action = {
            "key": record.key,
            "run": record.run,
            "name": record.name,
            "recipe": record.recipe,
            "step": record.step,
            "step_version": record.step_version,
            "config": canonical_json(record.config).decode(),
            "seed": record.seed,
            "environment": canonical_json(record.environment).decode(),
            "host": str(record.environment.get("host", "")),
            "books": canonical_json(record.books.model_dump(mode="json")).decode(),
            "seconds": record.seconds,
            "peak_bytes": record.peak_bytes,
            "output_bytes": sum(output.asset.size for output in prepared.values()),
            "actor": self._actor,
            "finished_at": at,
        }
        return {
            BLOB: list(blobs.values()),
            ASSET: list(assets.values()),
            ACTION: [action],
            EDGE: [
                {"action": record.key, "direction": direction, "role": role, "asset": digest}
                for direction, role, digest in edges
            ],
            RECEIPT: list(receipts),
        }


def _require(connection: Connection, record: ActionRecord) -> None:
    """The rows that an action refers to are there."""
    where = f"step {record.name}"
    if not connection.execute(sql.select(RUN.c.id).where(RUN.c.id == record.run)).first():
        raise UserError(f"there is no run {record.run}", where=where)
    for role, digest in record.inputs.items():
        if not connection.execute(sql.select(ASSET.c.digest).where(ASSET.c.digest == digest)).first():
            raise UserError(f"the input {role} is an asset that is not in the ledger: {digest}", where=where)


def _found(connection: Connection, key: str) -> Action | None:
    row = connection.execute(sql.select(ACTION).where(ACTION.c.key == key)).first()
    return None if row is None else _action(connection, row)


def _action(connection: Connection, row: Row[Any]) -> Action:
    ends: dict[str, dict[str, str]] = {"input": {}, "output": {}}
    query = sql.select(EDGE.c.direction, EDGE.c.role, EDGE.c.asset).where(EDGE.c.action == row.key)
    for direction, role, asset in connection.execute(query.order_by(EDGE.c.role)):
        ends[direction][role] = asset
    return Action(
        key=row.key,
        run=row.run,
        name=row.name,
        recipe=row.recipe,
        step=row.step,
        step_version=row.step_version,
        config=parse_json(row.config),
        seed=row.seed,
        environment=parse_json(row.environment),
        inputs=ends["input"],
        outputs=ends["output"],
        books=Books.model_validate_json(row.books),
        seconds=row.seconds,
        peak_bytes=row.peak_bytes,
        output_bytes=row.output_bytes,
        actor=row.actor,
        finished_at=row.finished_at,
    )
