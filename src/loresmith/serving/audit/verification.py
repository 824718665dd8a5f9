"""Does the audit hold together? What the log cannot know: that outcomes have intents, and that content opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import Failure
from loresmith.serving.audit.record import SHOWN_WITHOUT_INTENT
from loresmith.serving.audit.search import found_of
from loresmith.serving.audit.tenant_keys import ContentGoneError, TenantKeys

if TYPE_CHECKING:
    from loresmith.ledger import Ledger

_MOST_PROBLEMS = 100


class AuditCheck(BaseModel):
    """What reading all audit records again showed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    records: int = Field(description="How many there are.")
    unfinished: int = Field(
        description="Requests that were allowed and whose outcome is not on the record: they are under way, or the "
        "gateway was killed."
    )
    sealed: int = Field(description="Records with content that opens with its key.")
    erased: int = Field(description="Records with content whose key was destroyed, or is not here.")
    problems: tuple[str, ...] = Field(description="One sentence each; at most 100.")


def verify_records(ledger: Ledger, keys: TenantKeys) -> AuditCheck:
    """Read every record, and hold it against what an audit is.

    An answer follows an intent, once (a request that was refused needs none); what is said of an answer's bytes agrees;
    content opens for its record. The log itself is verified by `Log.verify`.
    """
    keys.refresh()
    problems: list[str] = []
    opened: dict[str, bool] = {}
    closed: set[str] = set()
    records = sealed = erased = 0
    for row in ledger.audit_records.search(content=True):
        records += 1
        name = f"leaf {row.leaf} ({row.phase} of {row.response})"
        try:
            record = found_of(row).record
            if row.content is not None:
                keys.open(row.content, row.response, row.phase, refresh=False)
                sealed += 1
        except ContentGoneError:
            erased += 1
        except Failure as failure:
            problems.append(f"{name}: {failure.what}")
            continue
        if row.phase == "intent":
            if row.response in opened or row.response in closed:
                problems.append(f"{name}: there was an intent already")
            opened[row.response] = record.allowed
        elif row.response in closed:
            problems.append(f"{name}: there was an outcome already")
        else:
            closed.add(row.response)
            went_out = record.status == 200 or record.completion_tokens > 0 or record.bytes_emitted > 0
            went_out = went_out and record.context.get("route") not in SHOWN_WITHOUT_INTENT
            if opened.pop(row.response, None) is None and went_out:
                problems.append(f"{name}: something was answered, and there is no intent before it")
        if row.phase == "outcome" and record.bytes_scanned != record.bytes_emitted:
            problems.append(f"{name}: {record.bytes_emitted} bytes went out, and guards saw {record.bytes_scanned}")
    return AuditCheck(
        records=records,
        unfinished=sum(opened.values()),
        sealed=sealed,
        erased=erased,
        problems=tuple(problems[:_MOST_PROBLEMS]),
    )
