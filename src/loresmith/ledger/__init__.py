"""What exists in a workspace and how it came to be: blobs, assets, lineage, releases and the Merkle log.

The names below are imported on first use: `loresmith.ledger.books` is part of every step, and the database is not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loresmith.ledger.actions import Action, ActionRecord, OutputRecord
    from loresmith.ledger.assets import Asset, AssetCheck, File
    from loresmith.ledger.audit_records import AuditRow
    from loresmith.ledger.checkpoints import Checkpoint
    from loresmith.ledger.claims import Claim
    from loresmith.ledger.credentials import Credential
    from loresmith.ledger.erasures import ErasedDocument, Erasure, Mark
    from loresmith.ledger.feedback import Feedback
    from loresmith.ledger.ledger import Ledger
    from loresmith.ledger.lineage import Lineage
    from loresmith.ledger.log import ConsistencyProof, Head, InclusionProof
    from loresmith.ledger.receipts import Receipt
    from loresmith.ledger.releases import Release, ReleaseEvent
    from loresmith.ledger.runs import Metric, Run, RunEvent
    from loresmith.ledger.tenant_keys import TenantKeyEvent
    from loresmith.ledger.verification import LogCheck

_HOMES = {
    "Action": "actions",
    "ActionRecord": "actions",
    "Asset": "assets",
    "AssetCheck": "assets",
    "AuditRow": "audit_records",
    "Checkpoint": "checkpoints",
    "Claim": "claims",
    "ConsistencyProof": "log",
    "Credential": "credentials",
    "ErasedDocument": "erasures",
    "Erasure": "erasures",
    "Feedback": "feedback",
    "File": "assets",
    "Head": "log",
    "InclusionProof": "log",
    "Ledger": "ledger",
    "Lineage": "lineage",
    "LogCheck": "verification",
    "Mark": "erasures",
    "Metric": "runs",
    "OutputRecord": "actions",
    "Receipt": "receipts",
    "Release": "releases",
    "ReleaseEvent": "releases",
    "Run": "runs",
    "RunEvent": "runs",
    "TenantKeyEvent": "tenant_keys",
}

__all__ = [
    "Action",
    "ActionRecord",
    "Asset",
    "AssetCheck",
    "AuditRow",
    "Checkpoint",
    "Claim",
    "ConsistencyProof",
    "Credential",
    "ErasedDocument",
    "Erasure",
    "Feedback",
    "File",
    "Head",
    "InclusionProof",
    "Ledger",
    "Lineage",
    "LogCheck",
    "Mark",
    "Metric",
    "OutputRecord",
    "Receipt",
    "Release",
    "ReleaseEvent",
    "Run",
    "RunEvent",
    "TenantKeyEvent",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
