"""Proves to somebody who has nothing but a root of the log, or this workspace's public key, what a record says.

A line of proof holds a record in full, the payload that its leaf was hashed from, and the hashes that lead from the
leaf to the root. The payload describes the record's columns; a long text, and the encrypted content, by their digests.
"""

from __future__ import annotations

import itertools
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from loresmith.ledger import merkle
from loresmith.ledger.audit_records import AuditRow
from loresmith.ledger.digest import canonical_json, parse_json
from loresmith.serving.audit.record import COLUMNS

if TYPE_CHECKING:
    from loresmith.ledger import Head, Log

_AT_ONCE = 2000

Reveal = Callable[[AuditRow], dict[str, Any] | None]
"""What was said of a record, in the clear; None where that cannot be read."""


class ProvedRecord(BaseModel):
    """One record with its proof."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    leaf: int = Field(ge=0, description="Where it stands in the log.")
    response: str
    phase: str
    at: str
    tenant: str
    principal: str
    release: str
    facts: dict[str, Any] = Field(description="What else it says.")
    content: str | None = Field(default=None, description="What was said, as it is stored: encrypted, in base64.")
    payload: str = Field(description="The bytes that the leaf was hashed from; they describe the above.")
    path: tuple[str, ...] = Field(description="Sibling hashes from the leaf up to the root, hexadecimal.")
    said: dict[str, Any] | None = Field(
        default=None, description="What was said, in the clear. Only who has the tenant's key can check that it is."
    )

    def problem(self, head: Head) -> str | None:
        """Why this does not show that the log with this head has the record; None if it does."""
        leaf = merkle.leaf_hash(self.payload.encode())
        try:
            path = [bytes.fromhex(sibling) for sibling in self.path]
            root = bytes.fromhex(head.root)
            described = parse_json(self.payload)["rows"]["audit_record"]
        except (ValueError, KeyError, TypeError):
            return "its payload or its path cannot be read"
        if not merkle.verify_inclusion(leaf, self.leaf, head.size, path, root):
            return "its hashes do not lead to the root"
        try:
            found = self._described()
        except ValueError:
            return "its content is not in base64"
        if described != found:
            (said,) = described if isinstance(described, list) and len(described) == 1 else ({},)
            wrong = [name for name, value in found[0].items() if not isinstance(said, dict) or said.get(name) != value]
            return f"it says something else than its leaf: {', '.join(wrong) or 'more'}"
        return None

    def _described(self) -> Any:
        from loresmith.ledger.description import describe
        from loresmith.ledger.schema import AUDIT_RECORD

        columns: dict[str, Any] = {name: getattr(self, name) for name in COLUMNS}
        columns["facts"] = canonical_json(self.facts).decode()
        columns["content"] = None if self.content is None else b64decode(self.content, validate=True)
        return describe([(AUDIT_RECORD, columns)])["audit_record"]


def prove(log: Log, rows: Iterable[AuditRow], head: Head, reveal: Reveal | None = None) -> Iterator[ProvedRecord]:
    """Each record with its proof, for the log as it was at `head`; later records are left out.

    The log is read once for every two thousand records.

    Args:
        rows: read with their content.
        reveal: gives what was said in the clear.
    """
    wanted = (row for row in rows if row.leaf < head.size)
    while window := list(itertools.islice(wanted, _AT_ONCE)):
        leaves = [row.leaf for row in window]
        proofs = log.inclusion_proofs(leaves, head.size)
        payloads = log.payloads(leaves)
        for row in window:
            columns: Mapping[str, Any] = {name: getattr(row, name) for name in COLUMNS}
            yield ProvedRecord(
                leaf=row.leaf,
                facts=parse_json(row.facts),
                content=None if row.content is None else b64encode(row.content).decode(),
                payload=payloads[row.leaf],
                path=proofs[row.leaf].path,
                said=None if reveal is None else reveal(row),
                **columns,
            )
