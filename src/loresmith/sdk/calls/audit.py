"""The gateway's audit: find records, prove them, check all of them, make what was said unreadable."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from loresmith.errors import Failure, UserError
from loresmith.ledger import Head
from loresmith.sdk.call import Answer, Call, Emit, FolderCall, Request
from loresmith.serving.audit.moments import MOMENT, moment_of
from loresmith.serving.audit.proof import ProvedRecord
from loresmith.serving.audit.record import AuditRecord
from loresmith.serving.audit.tenant_keys import FOLDER, TenantKeys

if TYPE_CHECKING:
    from loresmith.ledger import AuditRow
    from loresmith.sdk.workspace import Workspace
    from loresmith.serving.audit.search import Found, Query

WHERE = (
    "A condition on what records say, as in SQL: `status >= 500`, `'privacy' IN guards.guard`, `allowed = false AND "
    "'clinical' IN resource_labels`; docs/audit.md lists the columns."
)

ASKS_HUMAN = "'ask' IN guards.action"
"""The condition for what a guard wants a person to look at."""


class Choice(Request):
    """Which records are wanted: those for which all that is given holds."""

    since: str | None = Field(default=None, description=f"Records of this time and later: {MOMENT}.")
    until: str | None = Field(default=None, description="Records before this time, said in the same way.")
    principal: str | None = Field(default=None, description="Who asked: `user:ada`, `service:crm`.")
    release: str | None = Field(default=None, description="What was asked: `release` or `release@channel`.")
    tenant: str | None = Field(default=None, description="Whose key the content is encrypted with.")
    response: str | None = Field(default=None, description="The id that the answer carried.")
    phase: Literal["intent", "outcome"] | None = Field(
        default=None, description="Only what was asked (`intent`), or only what came of it (`outcome`)."
    )
    where: str | None = Field(
        default=None, min_length=1, description=f"Which of them. {WHERE}", json_schema_extra={"metavar": "CONDITION"}
    )
    asks_human: bool = Field(
        default=False,
        description="Only what a guard wants a person to look at (`action: ask`); of each request one record, its "
        "outcome, unless --phase says otherwise.",
    )
    content: bool = Field(
        default=False, description="Decrypt what was said. Who did this, and why, goes on the record; see --because."
    )
    because: str | None = Field(default=None, description="With --content: why you read what others said.")


class SearchRequest(Choice):
    """What `audit search` takes."""

    limit: int = Field(default=20, ge=1, le=100_000, description="How many records to show at most, the newest first.")


class FoundRecord(Answer):
    """One record."""

    leaf: int = Field(description="Where it stands in the ledger's log.")
    record: AuditRecord = Field(description="What it says.")
    kept: bool = Field(description="Whether what was said was kept, encrypted.")
    said: dict[str, Any] | None = Field(description="What was said, if that was asked for and can be read.")
    unreadable: str = Field(description="Why it cannot be.")


class SearchAnswer(Answer):
    """Some records."""

    records: tuple[FoundRecord, ...] = Field(description="The newest first.")
    more: bool = Field(description="Whether there are more, which are older.")


class ExportRequest(Choice):
    """What `audit export` takes."""

    to: Path = Field(description="A file that is not there yet, such as `audit.jsonl`.")


class ExportAnswer(Answer):
    """What was written."""

    to: Path = Field(description="The file.")
    records: int = Field(description="How many records.")
    head: Head = Field(description="The state of the log that their proofs lead to.")


class VerifyRequest(Request):
    """What `audit verify` takes."""

    export: Path | None = Field(
        default=None,
        description="A file of `audit export`, checked without any workspace. Default: check the workspace.",
    )
    public_key: Path | None = Field(
        default=None,
        description="With --export: the public key of the workspace that it should come from (.loresmith/key.pem.pub).",
    )


class VerifyAnswer(Answer):
    """What checking showed."""

    records: int = Field(description="How many records there are.")
    size: int = Field(description="The leaves of the log that was checked, or that an export speaks of.")
    root: str = Field(description="The root over them. Note it elsewhere, with the size, for later.")
    sound: bool = Field(description="Whether nothing disagrees.")
    problems: tuple[str, ...] = Field(description="One sentence each.")
    signed: bool | None = Field(description="Whether an export is signed by the given key; null if none was given.")
    unfinished: int = Field(description="Requests that were allowed and have no outcome; 0 of an export.")
    sealed: int = Field(description="Records whose content opens with its key; 0 of an export.")
    erased: int = Field(description="Records whose content nobody can read any more; 0 of an export.")


class ProofRequest(Request):
    """What `audit proof` takes."""

    response: str = Field(description="The id that an answer carried.", json_schema_extra={"positional": True})


class ProofAnswer(Answer):
    """Shows what is on the record of a response, to somebody who knows a root of the log or the workspace's key."""

    head: Head = Field(description="The state of the log that the proofs lead to.")
    signed_head: dict[str, Any] = Field(description="The same in a DSSE envelope, signed by the workspace's key.")
    records: tuple[ProvedRecord, ...] = Field(description="Its records with their proofs.")
    holds: bool = Field(description="Whether all of the proofs hold.")


class EraseRequest(Request):
    """What `audit erase` takes."""

    tenant: str = Field(description="The tenant whose key is destroyed.")
    because: str = Field(description="Why, in your words; it stays on the record.")


class EraseAnswer(Answer):
    """What was erased."""

    tenant: str = Field(description="The tenant.")
    key: str = Field(description="The name of the key that is gone.")
    records: int = Field(description="How many audit records have content that nobody can read any more.")
    feedback: int = Field(description="How many pieces of feedback.")


def keys_of(workspace: Workspace) -> TenantKeys:
    """The keys of the workspace's tenants."""
    return TenantKeys(workspace.place.state / FOLDER, workspace.ledger.tenant_keys)


def complete_record(workspace: Workspace) -> None:
    """Bring what a gateway that was killed had on its way into the ledger; one that is at work does so itself."""
    from loresmith.serving.audit.journal import FOLDER as JOURNALS
    from loresmith.serving.audit.journal import bring_in

    if workspace.ledger.writable:
        bring_in(workspace.place.state / JOURNALS, workspace.ledger.audit_records)


def query_of(request: Choice) -> Query:
    """What a request asks the audit for. Raises UserError for times that are none."""
    from loresmith.serving.audit.search import Query

    release, _, channel = (request.release or "").partition("@")
    where, phase = request.where, request.phase
    if request.asks_human:
        where = ASKS_HUMAN if where is None else f"({where}) AND {ASKS_HUMAN}"
        phase = phase or "outcome"
    return Query(
        since=None if request.since is None else moment_of(request.since, where="--since"),
        until=None if request.until is None else moment_of(request.until, where="--until"),
        phase=phase,
        tenant=request.tenant,
        principal=request.principal,
        release=release or None,
        channel=channel or None,
        response=request.response,
        where=where,
    )


def _search(workspace: Workspace, request: SearchRequest, _emit: Emit) -> SearchAnswer:
    from loresmith.serving.audit.search import find

    _require_reason(request)
    complete_record(workspace)
    query = query_of(request)
    found = find(workspace.ledger.audit_records, query, content=request.content, newest_first=True)
    shown = list(itertools.islice(found, request.limit + 1))
    if request.content:
        _put_reading_on_record(workspace, request)
    keys = keys_of(workspace)
    records = tuple(_found(each, keys if request.content else None) for each in shown[: request.limit])
    return SearchAnswer(records=records, more=len(shown) > request.limit)


def _found(found: Found, keys: TenantKeys | None) -> FoundRecord:
    said, unreadable = None, ""
    if found.sealed is not None and keys is not None:
        try:
            said = json.loads(keys.open(found.sealed, found.record.response, found.record.phase, refresh=False))
        except Failure as failure:
            unreadable = failure.what
    return FoundRecord(leaf=found.leaf, record=found.record, kept=found.row.kept, said=said, unreadable=unreadable)


def _require_reason(request: Choice) -> None:
    if request.content and not (request.because or "").strip():
        raise UserError(
            "reading what others said needs a reason", where="--because", hint="say why: it stays on the record"
        )


def _put_reading_on_record(workspace: Workspace, request: Choice) -> None:
    chosen = request.model_dump(mode="json", exclude_defaults=True, exclude={"content", "because", "to"})
    said = json.dumps(chosen, ensure_ascii=False, sort_keys=True)
    workspace.ledger.audit_records.note("audit-read", f"content of {said}, because {request.because}")


def _export(workspace: Workspace, request: ExportRequest, _emit: Emit) -> ExportAnswer:
    from loresmith.serving.audit.export import export
    from loresmith.serving.audit.search import find

    _require_reason(request)
    complete_record(workspace)
    keys, query = keys_of(workspace), query_of(request)

    def rows() -> Iterator[AuditRow]:
        for found in find(workspace.ledger.audit_records, query, content=True):
            yield found.row

    def reveal(row: AuditRow) -> dict[str, Any] | None:
        if row.content is None:
            return None
        try:
            said: dict[str, Any] = json.loads(keys.open(row.content, row.response, row.phase, refresh=False))
        except Failure:
            return None
        return said

    if request.content:
        _put_reading_on_record(workspace, request)
    header = export(workspace.ledger, rows(), request.to, reveal if request.content else None)
    return ExportAnswer(to=request.to, records=header.records, head=header.head)


def _verify(folder: Path, request: VerifyRequest, _emit: Emit) -> VerifyAnswer:
    if request.export is not None:
        return _verify_export(request.export, request.public_key)
    if request.public_key is not None:
        raise UserError("--public-key is for checking an export", hint="name it with --export")
    from loresmith.sdk.workspace import Workspace
    from loresmith.serving.audit.verification import verify_records

    with Workspace.open(folder) as workspace:
        complete_record(workspace)
        log = workspace.ledger.log.verify()
        check = verify_records(workspace.ledger, keys_of(workspace))
    problems = (*log.problems, *check.problems)
    return VerifyAnswer(
        records=check.records,
        size=log.size,
        root=log.root,
        sound=not problems,
        problems=problems,
        signed=None,
        unfinished=check.unfinished,
        sealed=check.sealed,
        erased=check.erased,
    )


def _verify_export(file: Path, public_key: Path | None) -> VerifyAnswer:
    from loresmith.serving.audit.export import verify_export

    check = verify_export(file, public_key)
    return VerifyAnswer(
        records=check.records,
        size=check.head.size,
        root=check.head.root,
        sound=not check.problems,
        problems=check.problems,
        signed=check.signed,
        unfinished=0,
        sealed=0,
        erased=0,
    )


def _proof(workspace: Workspace, request: ProofRequest, _emit: Emit) -> ProofAnswer:
    from loresmith.serving.audit.proof import prove

    complete_record(workspace)
    ledger = workspace.ledger
    rows, head = ledger.audit_records.of(request.response), ledger.log.head()
    if not rows:
        raise UserError(f"there is nothing on the record of a response {request.response}")
    records = tuple(prove(ledger.log, rows, head))
    holds = all(record.problem(head) is None for record in records)
    return ProofAnswer(head=head, signed_head=ledger.signed(head), records=records, holds=holds)


def _erase(workspace: Workspace, request: EraseRequest, _emit: Emit) -> EraseAnswer:
    complete_record(workspace)
    ledger = workspace.ledger
    erased = keys_of(workspace).destroy(request.tenant, request.because)
    rows = ledger.audit_records.search(tenant=request.tenant)
    given = ledger.feedback.list(tenant=request.tenant)
    return EraseAnswer(
        tenant=erased.tenant,
        key=erased.key,
        records=sum(row.kept for row in rows),
        feedback=sum(each.content is not None for each in given),
    )


SEARCH = Call(
    "audit search",
    "Find audit records: who asked for what, what was decided, and what came of it.",
    SearchRequest,
    SearchAnswer,
    _search,
    example="audit search --since 24h --where \"allowed = false OR 'refuse' IN guards.action\"",
)
EXPORT = Call(
    "audit export",
    "Write audit records with proofs that can be checked anywhere, without this workspace.",
    ExportRequest,
    ExportAnswer,
    _export,
    example="audit export --since 2026-10-01 --until 2026-11-01 --to october.jsonl",
)
VERIFY = FolderCall(
    "audit verify",
    "Check the whole audit, or an export of it.",
    VerifyRequest,
    VerifyAnswer,
    _verify,
    failed=lambda answer: not answer.sound,
    example="audit verify --export october.jsonl --public-key key.pem.pub",
)
PROOF = Call(
    "audit proof",
    "Prove what is on the record of one response.",
    ProofRequest,
    ProofAnswer,
    _proof,
    failed=lambda answer: not answer.holds,
    example="audit proof chatcmpl-2f6c41 --json",
)
ERASE = Call(
    "audit erase",
    "Make what a tenant's callers said unreadable for good, by destroying its key; the records stay.",
    EraseRequest,
    EraseAnswer,
    _erase,
    example='audit erase --tenant ward --because "the contract has ended"',
)
