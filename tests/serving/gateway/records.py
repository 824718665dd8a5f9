"""What a gateway at work has put on the record."""

from __future__ import annotations

import time
from pathlib import Path

from loresmith import Workspace
from loresmith.serving.audit.record import AuditRecord


def records_of(workspace: Path, response: str) -> list[AuditRecord]:
    """The records of a response, once its outcome, which is written a moment later, is there."""
    with Workspace.open(workspace) as opened:
        for _ in range(600):
            records = [AuditRecord.from_row(row) for row in opened.ledger.audit_records.of(response)]
            if records and records[-1].phase == "outcome":
                return records
            time.sleep(0.05)
    raise AssertionError(f"nothing is on the record of {response}")
