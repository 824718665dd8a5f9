"""Where a ledger lives in a test, and somebody who changes its database behind its back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from loresmith.ledger import Action, ActionRecord, Asset, AuditRow, ErasedDocument, Ledger, OutputRecord
from loresmith.ledger.books import Books
from loresmith.ledger.digest import digest_of
from loresmith.ledger.schema import APPEND_ONLY
from tests.ledger.postgres import plain_engine

AT = "2026-01-01T00:00:00.000000Z"


class Place:
    """The addresses of one ledger."""

    def __init__(self, folder: Path, database: str | None = None, blobs: str | Path | None = None) -> None:
        self.folder = folder
        self.database = database or f"sqlite:///{folder}/ledger.db"
        self.blobs = blobs or folder / "blobs"
        self.views = folder / "views"
        self.key_file = folder / "key.pem"

    @property
    def is_sqlite(self) -> bool:
        return self.database.startswith("sqlite")

    def open(self, *, actor: str = "ada@host", create: bool = False, **changed: Any) -> Ledger:
        addresses = {"database": self.database, "blobs": self.blobs, "views": self.views, "key_file": self.key_file}
        return Ledger.open(**{**addresses, **changed}, actor=actor, create=create)

    def files(self, name: str, content: Mapping[str, str | bytes]) -> Path:
        """A new directory with files in it."""
        directory = self.folder / name
        for path, data in content.items():
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data.encode() if isinstance(data, str) else data)
        return directory

    @contextmanager
    def behind_its_back(self) -> Iterator[sql.Connection]:
        """A transaction of somebody with all rights on the database, whom no trigger and no foreign key stops."""
        engine = plain_engine(self.database)
        with engine.connect() as connection:
            if self.is_sqlite:
                names = (
                    connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all()
                )
                for name in names:
                    connection.exec_driver_sql(f"DROP TRIGGER {name}")
            else:
                connection.exec_driver_sql("SET session_replication_role = replica")
            yield connection
            connection.commit()
        engine.dispose()

    def counts(self) -> dict[str, int]:
        """How many rows each append-only table has."""
        engine = plain_engine(self.database)
        with engine.connect() as connection:
            count = sql.select(sql.func.count())
            found = {table.name: connection.execute(count.select_from(table)).scalar_one() for table in APPEND_ONLY}
        engine.dispose()
        return found


def add_asset(ledger: Ledger, place: Place, text: str, kind: str = "source", **details: Any) -> Asset:
    """An asset of one file with this text."""
    directory = place.files(f"new-{digest_of([text, kind])[:12]}", {"text.txt": text})
    return ledger.assets.add(kind, directory, **details)


def record_action(
    ledger: Ledger,
    place: Place,
    name: str,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    run: str | None = None,
    /,
    **changed: Any,
) -> Action:
    """An action of the recipe `demo` whose outputs are assets of one file with the given text."""
    run = run or ledger.runs.start("0" * 64, "demo", {})
    facts = {
        "key": digest_of([name, dict(inputs), dict(outputs)]),
        "run": run,
        "name": name,
        "recipe": "demo",
        "step": "copy",
        "step_version": 1,
        "config": {"rate": 0.001},
        "seed": 7,
        "environment": {"host": "here", "python": "3.11"},
        "inputs": dict(inputs),
        "outputs": {
            role: OutputRecord(kind="corpus", directory=place.files(f"{name}-{role}-{run}", {"text.txt": text}))
            for role, text in outputs.items()
        },
        "books": Books(),
        "seconds": 1.5,
        "peak_bytes": 1000,
    }
    return ledger.actions.record(ActionRecord(**{**facts, **changed}))


def audit_row(response: str, phase: Any = "intent", at: str = AT, **changed: Any) -> AuditRow:
    """A record of a response that `user:ada` asked for."""
    facts = {"tenant": "default", "principal": "user:ada", "release": "acme@production", "facts": "{}"}
    return AuditRow(response=response, phase=phase, at=at, **{**facts, **changed})


def furnish(ledger: Ledger, place: Place) -> None:
    """Do something of every kind, so that every table has rows."""
    unwanted = add_asset(ledger, place, "no longer wanted")
    blob = unwanted.files["text.txt"].digest
    erasure = ledger.erasures.enter("Ada asked", [ErasedDocument(id="0" * 32)], [blob], {unwanted.digest: "erased"})
    ledger.erasures.end(erasure.id, ledger.blobs.erase([blob]))
    first = add_asset(ledger, place, "in", metadata={"language": "en"}, labels=["restricted"])
    second = add_asset(ledger, place, "another")
    run = ledger.runs.start("0" * 64, "demo", {"steps": ["copy", "join"]})
    ledger.runs.event(run, "step-started", "copy")
    ledger.runs.add_metrics(run, "copy", [("loss", 1 / (1 + step), step, AT) for step in range(20)])
    action = record_action(ledger, place, "copy", {"text": first.digest}, {"text": "copied"}, run)
    ledger.checkpoints.add(action.key, run, "state", "0" * 64, 1.0, 1)
    joined = {"left": action.outputs["text"], "right": second.digest}
    checks = [("text", "parity", True, {"difference": 0.0}), ("text", "gate", False, {"p": 0.4})]
    record_action(ledger, place, "join", joined, {"text": "joined", "note": "a note"}, run, checks=checks)
    ledger.runs.event(run, "finished", data={"seconds": 1.0})
    ledger.receipts.add(first.digest, "gate", True, {"cases": 500})
    ledger.releases.promote("acme", first.digest, "candidate", "to try")
    ledger.releases.promote("acme", first.digest, "production", "it was good")
    ledger.releases.promote("acme", second.digest, "production", "it was better")
    ledger.releases.rollback("acme", reason="it was not")
    ledger.tenant_keys.made("default", "0" * 8, "first use")
    answered = audit_row("r-1", "outcome", facts=json.dumps({"note": "x" * 600}), content=b"\x00\xff encrypted")
    ledger.audit_records.append([audit_row("r-1"), answered])
    ledger.credentials.create("k-1", "service:crm", ["sales"], "0" * 64, AT, "for the CRM")
    ledger.credentials.rotate("k-1", "1" * 64, AT, "yearly")
    ledger.feedback.add("f-1", "r-1", "default", "user:ada", {"rating": 1}, b"encrypted")
    ledger.tenant_keys.destroyed("default", "Ada asked")
    assert all(place.counts().values())
