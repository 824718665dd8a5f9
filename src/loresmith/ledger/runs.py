"""Runs: one execution of a plan each, with its events, its numbers, and whether it is still alive."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sql
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.engine import Connection, Row

from loresmith.errors import UserError
from loresmith.ledger.clock import seconds_since, timestamp
from loresmith.ledger.database import Database
from loresmith.ledger.digest import canonical_json, parse_json
from loresmith.ledger.liveness import Process, this_host
from loresmith.ledger.log import Log
from loresmith.ledger.schema import HEARTBEAT, METRIC, RUN, RUN_EVENT
from loresmith.nearest import unknown_name

EventKind = Literal["step-started", "step-cached", "step-finished", "step-failed", "finished", "failed", "interrupted"]
Status = Literal["completed", "failed", "interrupted", "running"]

BEAT_SECONDS = 60.0
"""How long a run on another machine counts as alive after its last heartbeat."""

HAS_OUTPUTS = ("step-cached", "step-finished")
"""Events after which a step of a run has its outputs, whoever made them."""

_ENDS: dict[str, Status] = {"finished": "completed", "failed": "failed", "interrupted": "interrupted"}


class Run(BaseModel):
    """One execution of a plan, as it stands at the moment of reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(description="Sorts by time of start.")
    plan_digest: str
    recipe: str = Field(description="The recipe's name.")
    plan: dict[str, Any] = Field(description="The whole plan that was approved.")
    host: str = Field(description="The machine that runs it.")
    pid: int = Field(description="The process there.")
    actor: str
    started_at: str
    ended_at: str | None = Field(description="When it said that it had ended; None if it never did.")
    beat_at: str | None = Field(description="Its last heartbeat.")
    status: Status = Field(description="`interrupted` also when its process is gone without a word.")


class RunEvent(BaseModel):
    """Something that happened in a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int = Field(description="Its leaf in the log.")
    run: str
    kind: EventKind
    step: str | None
    data: dict[str, Any]
    at: str


class Metric(BaseModel):
    """A number at a position in a step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    step: str
    name: str
    value: float
    position: float = Field(description="How far the step was: tokens seen, documents read.")
    at: str


class Runs:
    """The runs of one ledger."""

    def __init__(self, database: Database, log: Log, actor: str) -> None:
        self._database = database
        self._log = log
        self._actor = actor

    def start(
        self, plan_digest: str, recipe: str, plan: Mapping[str, Any], host: str | None = None, pid: int | None = None
    ) -> str:
        """Enter a run that begins now, in process `pid` on `host` (None: the caller's); returns its id."""
        process = Process.current() if pid is None else Process.of(pid)
        if host is not None and host != process.host:
            process = Process(host=host, pid=process.pid, started="")
        plan_text = canonical_json(dict(plan)).decode()
        with self._database.write() as connection:
            at = timestamp()
            run = _new_id(connection, at)
            row = {
                "id": run,
                "plan_digest": plan_digest,
                "recipe": recipe,
                "plan": plan_text,
                "host": process.host,
                "pid": process.pid,
                "process_started": process.started,
                "actor": self._actor,
                "started_at": at,
            }
            self._log.append(connection, "run", run, {RUN: [row]}, at=at)
            connection.execute(sql.insert(HEARTBEAT).values(run=run, at=at))
        return run

    def event(
        self, run: str, kind: EventKind, step: str | None = None, data: Mapping[str, Any] | None = None
    ) -> RunEvent:
        """Enter something that happened in a run."""
        text = canonical_json(dict(data or {})).decode()
        event = RunEvent(index=0, run=run, kind=kind, step=step, data=parse_json(text), at=timestamp())
        row = {"run": run, "kind": kind, "step": step, "data": text, "at": event.at}
        with self._database.write() as connection:
            require_run(connection, run)
            index = self._log.append(connection, f"run-{kind}", run, {RUN_EVENT: [row]}, at=event.at)
        return event.model_copy(update={"index": index})

    def beat(self, run: str) -> None:
        """Say that the run is alive. Not a leaf of the log: nothing is decided by it afterwards."""
        with self._database.write_aside() as connection:
            connection.execute(sql.update(HEARTBEAT).where(HEARTBEAT.c.run == run).values(at=timestamp()))

    def get(self, run: str) -> Run:
        """The run of this id. Raises UserError, with the nearest ids, if there is none."""
        with self._database.read() as connection:
            return require_run(connection, run)

    def events(self, run: str) -> list[RunEvent]:
        """What happened in a run, in order."""
        query = sql.select(RUN_EVENT).where(RUN_EVENT.c.run == run).order_by(RUN_EVENT.c.leaf)
        with self._database.read() as connection:
            return [_event(row) for row in connection.execute(query)]

    def last_outputs(self, recipe: str, step: str) -> RunEvent | None:
        """The last event by which a step of a recipe had its outputs, whoever made them; `key` is their action's."""
        event = RUN_EVENT.c
        query = (
            sql.select(RUN_EVENT)
            .join_from(RUN_EVENT, RUN, event.run == RUN.c.id)
            .where(RUN.c.recipe == recipe, event.step == step, event.kind.in_(HAS_OUTPUTS))
            .order_by(event.leaf.desc())
            .limit(1)
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _event(row)

    def add_metrics(self, run: str, step: str, rows: Iterable[tuple[str, float, float, str]]) -> None:
        """Enter a batch of numbers, as one leaf: name, value, position and time of each. An empty batch is nothing."""
        batch = [
            {
                "ordinal": ordinal,
                "run": run,
                "step": step,
                "name": name,
                "value": None if math.isnan(value) else float(value),
                "position": float(position),
                "at": at,
            }
            for ordinal, (name, value, position, at) in enumerate(rows)
        ]
        if not batch:
            return
        with self._database.write() as connection:
            require_run(connection, run)
            self._log.append(connection, "metrics", run, {METRIC: batch})

    def metrics(self, run: str, step: str | None = None, name: str | None = None) -> list[Metric]:
        """The numbers of a run, in the order in which they came."""
        query = sql.select(METRIC).where(METRIC.c.run == run).order_by(METRIC.c.leaf, METRIC.c.ordinal)
        if step is not None:
            query = query.where(METRIC.c.step == step)
        if name is not None:
            query = query.where(METRIC.c.name == name)
        with self._database.read() as connection:
            return [
                Metric(
                    run=run,
                    step=row.step,
                    name=row.name,
                    value=math.nan if row.value is None else row.value,
                    position=row.position,
                    at=row.at,
                )
                for row in connection.execute(query)
            ]

    def working_on(self, action_key: str) -> Sequence[tuple[str, str]]:
        """Run and step name of every start of an action, the first start first."""
        said = canonical_json({"key": action_key}).decode()
        query = (
            sql.select(RUN_EVENT.c.run, RUN_EVENT.c.step)
            .where(RUN_EVENT.c.kind == "step-started", RUN_EVENT.c.data == said, RUN_EVENT.c.step.is_not(None))
            .order_by(RUN_EVENT.c.leaf)
        )
        with self._database.read() as connection:
            return [(row.run, row.step) for row in connection.execute(query)]

    def list(self, limit: int | None = None) -> list[Run]:
        """The runs, those last started first."""
        with self._database.read() as connection:
            return [_run(row) for row in connection.execute(_query().order_by(RUN.c.leaf.desc()).limit(limit))]


def require_run(connection: Connection, run: str) -> Run:
    """The run of this id. Raises UserError, with the nearest ids, if there is none."""
    row = connection.execute(_query().where(RUN.c.id == run)).first()
    if row is None:
        known = connection.execute(sql.select(RUN.c.id).order_by(RUN.c.leaf.desc()).limit(100)).scalars()
        raise UserError(unknown_name("run", run, known))
    return _run(row)


def under_way(connection: Connection) -> Sequence[str]:
    """The ids of the runs that are at work now."""
    return [run.id for run in map(_run, connection.execute(_query())) if run.status == "running"]


def _event(row: Row[Any]) -> RunEvent:
    return RunEvent(index=row.leaf, run=row.run, kind=row.kind, step=row.step, data=parse_json(row.data), at=row.at)


def _query() -> sql.Select[Any]:
    """Runs with their heartbeat and the last event that ended them, if there are any."""
    ends = RUN_EVENT.alias("ends")
    last = sql.select(sql.func.max(ends.c.leaf)).where(ends.c.run == RUN.c.id, ends.c.kind.in_(_ENDS))
    end = RUN_EVENT.alias("last_end")
    return (
        sql.select(RUN, HEARTBEAT.c.at.label("beat_at"), end.c.kind.label("end"), end.c.at.label("ended_at"))
        .outerjoin(HEARTBEAT, HEARTBEAT.c.run == RUN.c.id)
        .outerjoin(end, end.c.leaf == last.scalar_subquery())
    )


def _run(row: Row[Any]) -> Run:
    unsaid: Status = "running" if row.end is None and _is_alive(row) else "interrupted"
    return Run(
        id=row.id,
        plan_digest=row.plan_digest,
        recipe=row.recipe,
        plan=parse_json(row.plan),
        host=row.host,
        pid=row.pid,
        actor=row.actor,
        started_at=row.started_at,
        ended_at=row.ended_at,
        beat_at=row.beat_at,
        status=_ENDS.get(row.end, unsaid),
    )


def _is_alive(row: Row[Any]) -> bool:
    """On this machine the process itself answers; of another one only its heartbeat is known here."""
    if row.host == this_host():
        return Process(host=row.host, pid=row.pid, started=row.process_started).is_alive()
    return row.beat_at is not None and seconds_since(row.beat_at) < BEAT_SECONDS


def _new_id(connection: Connection, at: str) -> str:
    while True:
        run = f"{datetime.fromisoformat(at):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        if not connection.execute(sql.select(RUN.c.id).where(RUN.c.id == run)).first():
            return run
