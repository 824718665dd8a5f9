"""Receipts: signed statements that a check was made on an asset, and what it showed.

A receipt is an in-toto Statement (v1) in a DSSE envelope, signed with Ed25519, so that other tools can check it too.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import Failure, UserError
from loresmith.ledger.clock import timestamp
from loresmith.ledger.database import Database
from loresmith.ledger.digest import canonical_json, parse_json
from loresmith.ledger.log import Log
from loresmith.ledger.schema import ASSET, RECEIPT
from loresmith.ledger.signing import sign, verify

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://loresmith.dev/receipt/v1"
PAYLOAD = "application/vnd.in-toto+json"


class Receipt(BaseModel):
    """One signed statement about an asset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str = Field(description="The digest of the asset that was checked.")
    kind: str = Field(description="Which check: `resume`, `template-parity`, `gate`, ...")
    passed: bool
    evidence: dict[str, Any] = Field(description="What the check showed.")
    actor: str = Field(description="Who had it made.")
    at: str
    envelope: dict[str, Any] = Field(description="The DSSE envelope, which says all of the above under a signature.")


class Receipts:
    """The receipts of one ledger, signed with the key of this workspace."""

    def __init__(self, database: Database, log: Log, key_file: Path, actor: str) -> None:
        self._database = database
        self._log = log
        self._key_file = key_file
        self._actor = actor

    def add(self, subject: str, kind: str, passed: bool, evidence: Mapping[str, Any]) -> Receipt:
        """Sign and keep the outcome of a check on the asset with the digest `subject`.

        Raises:
            UserError: there is no such asset, or the evidence is not JSON.
            Failure: there is no key to sign with.
        """
        with self._database.read() as connection:
            asset_kind = connection.execute(sql.select(ASSET.c.kind).where(ASSET.c.digest == subject)).scalar()
        if asset_kind is None:
            raise UserError(f"there is no asset {subject}", hint="a receipt is about an asset of this ledger")
        row = self.signed(subject, asset_kind, kind, passed, evidence)
        with self._database.write() as connection:
            self._log.append(connection, "receipt", subject, {RECEIPT: [{**row, "ordinal": 0}]}, at=row["at"])
        return _receipt(row["envelope"])

    def signed(
        self, subject: str, asset_kind: str, kind: str, passed: bool, evidence: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The row of a receipt, without its place in the log."""
        at = timestamp()
        statement = {
            "_type": STATEMENT,
            "subject": [{"name": f"{asset_kind}/{subject[:12]}", "digest": {"sha256": subject}}],
            "predicateType": PREDICATE,
            "predicate": {
                "kind": kind,
                "passed": passed,
                "evidence": dict(evidence),
                "actor": self._actor,
                "at": at,
            },
        }
        envelope = sign(canonical_json(statement), PAYLOAD, self._key_file)
        text = canonical_json(envelope).decode()
        return {"subject": subject, "kind": kind, "passed": passed, "envelope": text, "at": at}

    def list(self, subject: str) -> list[Receipt]:
        """The receipts about an asset, the oldest first."""
        query = sql.select(RECEIPT).where(RECEIPT.c.subject == subject).order_by(RECEIPT.c.leaf, RECEIPT.c.ordinal)
        with self._database.read() as connection:
            return [_receipt(row.envelope) for row in connection.execute(query)]

    def verify(self, receipt: Receipt) -> None:
        """Raise Failure unless this workspace's key signed just what the receipt says."""
        payload = verify(receipt.envelope, PAYLOAD, self._key_file)
        said = _said(parse_json(payload))
        for name, value in said.items():
            if getattr(receipt, name) != value:
                raise Failure(f"the receipt says another {name} than was signed", where=f"receipt of {receipt.subject}")


def _receipt(envelope: str) -> Receipt:
    parsed = parse_json(envelope)
    return Receipt(**_said(parse_json(b64decode(parsed["payload"]))), envelope=parsed)


def _said(statement: Mapping[str, Any]) -> dict[str, Any]:
    """What a statement says, under the names of Receipt's fields."""
    try:
        return {"subject": statement["subject"][0]["digest"]["sha256"], **statement["predicate"]}
    except (KeyError, IndexError, TypeError) as error:
        raise Failure("this envelope does not hold a receipt") from error
