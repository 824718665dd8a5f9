"""A ledger with an audit on it, and records as a gateway would write them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loresmith import Workspace
from loresmith.ledger import Ledger
from loresmith.serving.audit.record import AuditRecord, Content
from loresmith.serving.audit.settings import AuditSettings
from loresmith.serving.audit.tenant_keys import TenantKeys
from loresmith.serving.audit.writer import Audit
from tests.ledger.places import AT

LATER = "2026-02-01T00:00:00.000000Z"
SAID = Content(messages=({"role": "user", "content": "What ails the patient in bed 7?"},))
ANSWERED = Content(answer={"role": "assistant", "content": "A broken leg."})


def record(response: str, phase: Any = "intent", **facts: Any) -> AuditRecord:
    """A record of something that `user:ada` asked of `acme`."""
    usual = {
        "at": AT,
        "tenant": "ward",
        "principal": "user:ada",
        "release": "acme",
        "channel": "production",
        "groups": ["physicians"],
        "labels": ["clinical"],
        "credential": "k-1",
        "action": "complete",
        "model": "a" * 64,
        "resource": {"kind": "release", "id": "acme", "labels": ["clinical"]},
        "policy": "b" * 64,
        "allowed": True,
        "policies": ["default"],
    }
    return AuditRecord.model_validate({**usual, **facts, "response": response, "phase": phase})


def keys_of(ledger: Ledger, folder: Path) -> TenantKeys:
    return TenantKeys(folder / "tenant-keys", ledger.tenant_keys)


@asynccontextmanager
async def auditing(ledger: Ledger, folder: Path, **settings: Any) -> AsyncIterator[Audit]:
    """An audit, closed in the end."""
    audit = Audit(ledger, AuditSettings(**settings), keys_of(ledger, folder))
    try:
        yield audit
    finally:
        audit.close()


def write_audit(folder: Path) -> None:
    """A workspace in this folder with the audit of two requests: one answered, one denied."""
    with Workspace.init(folder) as workspace:
        asyncio.run(_written(workspace))


async def _written(workspace: Workspace) -> None:
    async with auditing(workspace.ledger, workspace.place.state) as audit:
        await audit.intent(record("r-1"), SAID)
        facts: dict[str, Any] = {"status": 200, "prompt_tokens": 12, "completion_tokens": 4, "latency_ms": 80}
        verdict = {"guard": "privacy", "where": "output", "role": "assistant", "action": "redact", "rule": "email"}
        facts |= {"guards": [{**verdict, "count": 2}], "bytes_scanned": 13, "bytes_emitted": 13}
        await audit.outcome(record("r-1", "outcome", at=LATER, **facts), ANSWERED)
        denied = {"principal": "user:eve", "allowed": False, "labels": [], "policies": []}
        await audit.intent(record("r-2", at=LATER, **denied))
        await audit.outcome(record("r-2", "outcome", at=LATER, status=403, **denied))
