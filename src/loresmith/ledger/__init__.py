"""What exists in a workspace and how it came to be: blobs, assets, lineage, releases and the Merkle log.

The names below are imported on first use: `loresmith.ledger.books` is part of every step, and the database is not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loresmith.ledger.actions import Action, ActionRecord, OutputRecord
    from loresmith.ledger.assets import Asset, AssetCheck, File
    from loresmith.ledger.checkpoints import Checkpoint
    from loresmith.ledger.claims import Claim
    from loresmith.ledger.erasures import ErasedDocument, Erasure, Mark
    from loresmith.ledger.ledger import Ledger
    from loresmith.ledger.lineage import Lineage
    from loresmith.ledger.log import ConsistencyProof, Head, InclusionProof
    from loresmith.ledger.receipts import Receipt
    from loresmith.ledger.releases import Release, ReleaseEvent
    from loresmith.ledger.runs import Metric, Run, RunEvent
    from loresmith.ledger.verification import LogCheck

_HOMES = {
    "Action": "actions",
    "ActionRecord": "actions",
    "Asset": "assets",
    "AssetCheck": "assets",
    "Checkpoint": "checkpoints",
    "Claim": "claims",
    "ConsistencyProof": "log",
    "ErasedDocument": "erasures",
    "Erasure": "erasures",
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
}

__all__ = [
    "Action",
    "ActionRecord",
    "Asset",
    "AssetCheck",
    "Checkpoint",
    "Claim",
    "ConsistencyProof",
    "ErasedDocument",
    "Erasure",
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
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
