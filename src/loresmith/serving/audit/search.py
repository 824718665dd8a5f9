"""Finds audit records: by columns of the ledger, and by a condition on everything that a record says."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loresmith.errors import Failure
from loresmith.ledger.audit_records import AuditRow, Phase
from loresmith.serving.audit.record import AuditRecord

if TYPE_CHECKING:
    import pyarrow as pa

    from loresmith.ledger.audit_records import AuditRecords

_WINDOW = 500


@dataclass(frozen=True)
class Found:
    """A record, where it stands in the log, and what was said, encrypted, if that was asked for and kept."""

    record: AuditRecord
    row: AuditRow

    @property
    def leaf(self) -> int:
        return self.row.leaf

    @property
    def sealed(self) -> bytes | None:
        return self.row.content


@dataclass(frozen=True)
class Query:
    """Which records are wanted: those for which all that is given holds. Times are timestamps of the ledger."""

    since: str | None = None
    until: str | None = None
    phase: Phase | None = None
    tenant: str | None = None
    principal: str | None = None
    release: str | None = None
    channel: str | None = None
    response: str | None = None
    where: str | None = None


def find(records: AuditRecords, query: Query, *, content: bool = False, newest_first: bool = False) -> Iterator[Found]:
    """The records that a query means, in the order of the log.

    Args:
        content: read what was said, too.

    Raises:
        UserError: the condition means nothing.
        Failure: a record cannot be read.
    """
    found: Iterator[Found] = map(found_of, _rows(records, query, content=content, newest_first=newest_first))
    if query.channel is not None:
        found = (each for each in found if each.record.channel == query.channel)
    if query.where is None:
        yield from found
        return
    from loresmith.data.conditions.condition import Condition

    condition = Condition(query.where, condition_columns())
    while window := list(itertools.islice(found, _WINDOW)):
        mask = condition.mask(_table(each.record for each in window)).to_pylist()
        yield from itertools.compress(window, mask)


def found_of(row: AuditRow) -> Found:
    """What a row of the ledger says. Raises Failure for one that says nothing that can be read."""
    try:
        return Found(AuditRecord.from_row(row), row)
    except ValueError as error:
        raise Failure(
            f"the audit record of {row.response} (leaf {row.leaf}) cannot be read: {str(error).splitlines()[0]}",
            hint="`loresmith ledger verify` says whether it was changed; a newer Loresmith may have written it",
        ) from error


def condition_columns() -> pa.Schema:
    """What a condition can look at."""
    import pyarrow as pa

    texts = ("response", "phase", "at", "tenant", "principal", "release", "credential", "action", "channel", "model")
    more = ("adapter", "policy", "error")
    numbers = ("prompt_tokens", "completion_tokens", "cached_tokens", "latency_ms", "first_token_ms", "status")
    lists = ("groups", "labels", "policies", "documents", "answer_labels", "resource_labels")
    of_verdicts = ("guard", "where", "role", "action", "rule", "digest")
    verdict = pa.struct([*(pa.field(name, pa.string()) for name in of_verdicts), pa.field("count", pa.int64())])
    fields: list[pa.Field[Any]] = [
        *(pa.field(name, pa.string()) for name in (*texts, *more, "resource_kind", "resource_id")),
        *(pa.field(name, pa.int64()) for name in (*numbers, "bytes_scanned", "bytes_emitted")),
        *(pa.field(name, pa.bool_()) for name in ("allowed", "consent")),
        *(pa.field(name, pa.list_(pa.string())) for name in lists),
        pa.field("guards", pa.list_(verdict)),
    ]
    return pa.schema(fields)


def _rows(records: AuditRecords, query: Query, *, content: bool, newest_first: bool) -> Iterator[AuditRow]:
    if query.response is None:
        yield from records.search(
            since=query.since,
            until=query.until,
            phase=query.phase,
            tenant=query.tenant,
            principal=query.principal,
            release=query.release,
            content=content,
            newest_first=newest_first,
        )
        return
    of_response = records.of(query.response)
    for row in reversed(of_response) if newest_first else of_response:
        wanted = ("phase", "tenant", "principal", "release")
        if all(getattr(query, name) in (None, getattr(row, name)) for name in wanted) and (
            (query.since is None or row.at >= query.since) and (query.until is None or row.at < query.until)
        ):
            yield row


def _table(records: Iterable[AuditRecord]) -> pa.RecordBatch:
    import pyarrow as pa

    schema = condition_columns()
    rows: list[dict[str, Any]] = []
    for record in records:
        said = record.model_dump(mode="json")
        resource = said.pop("resource") or {}
        said |= {f"resource_{name}": resource.get(name) for name in ("kind", "id", "labels")}
        rows.append({name: said[name] for name in schema.names})
    return pa.RecordBatch.from_pylist(rows, schema=schema)
