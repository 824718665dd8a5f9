"""Finds audit records: by columns of the ledger, and by a condition on everything that a record says."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loresmith.errors import Failure
from loresmith.ledger.audit_records import AuditRow, Phase
from loresmith.serving.audit.record import COLUMNS, AuditRecord, GuardVerdict

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
    rows = _rows(records, query, content=content, newest_first=newest_first)
    if query.where is not None:
        rows = _chosen(rows, query.where)
    for row in rows:
        found = found_of(row)
        if query.channel in (None, found.record.channel):
            yield found


def requests(records: AuditRecords, *, since: str | None = None, until: str | None = None) -> Iterator[Found]:
    """One record of each request, in the order of the log: its intent, or the outcome of one that was refused before
    there was any. Both say who asked for what, and what was decided."""
    under_way: set[str] = set()
    for found in map(found_of, records.search(since=since, until=until)):
        response = found.record.response
        if found.record.phase == "intent":
            under_way.add(response)
            yield found
        elif response in under_way:
            under_way.remove(response)
        else:
            yield found


def found_of(row: AuditRow) -> Found:
    """What a row of the ledger says. Raises Failure for one that says nothing that can be read."""
    try:
        return Found(AuditRecord.from_row(row), row)
    except ValueError as error:
        raise _unreadable(row, error) from error


def _unreadable(row: AuditRow, error: ValueError) -> Failure:
    return Failure(
        f"the audit record of {row.response} (leaf {row.leaf}) cannot be read: {str(error).splitlines()[0]}",
        hint="`loresmith ledger verify` says whether it was changed; a newer Loresmith may have written it",
    )


def condition_columns() -> pa.Schema:
    """What a condition can look at."""
    import pyarrow as pa

    texts = ("response", "phase", "at", "tenant", "principal", "release", "credential", "action", "channel", "model")
    more = ("adapter", "policy", "guards_digest", "error", "about", "served")
    numbers = (
        "choices",
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "latency_ms",
        "first_token_ms",
        "status",
    )
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


def _chosen(rows: Iterator[AuditRow], where: str) -> Iterator[AuditRow]:
    """The rows of which a condition is true. Only what it looks at is taken out of them."""
    from loresmith.data.conditions.condition import Condition

    schema = condition_columns()
    condition = Condition(where, schema)
    while window := list(itertools.islice(rows, _WINDOW)):
        mask = condition.mask(_batch(window, schema, condition.columns))
        yield from itertools.compress(window, mask.to_pylist())


def _batch(rows: Sequence[AuditRow], schema: pa.Schema, wanted: Collection[str]) -> pa.RecordBatch:
    """The rows as a table, of which the columns that are not wanted are empty."""
    import pyarrow as pa

    usual = {name: field.get_default() for name, field in AuditRecord.model_fields.items()}
    verdict = {name: field.get_default() for name, field in GuardVerdict.model_fields.items() if name != "lengths"}
    values: dict[str, list[Any]] = {name: [] for name in schema.names if name in wanted}
    for row in rows:
        facts = _facts(row)
        resource = {"labels": [], **facts["resource"]} if facts.get("resource") else {}
        for name, column in values.items():
            if name in COLUMNS:
                column.append(getattr(row, name))
            elif name.startswith("resource_"):
                column.append(resource.get(name.removeprefix("resource_")))
            elif name == "guards":
                column.append([{**verdict, **each} for each in facts.get("guards", ())])
            else:
                column.append(facts.get(name, usual[name]))
    arrays = [
        pa.array(values[field.name], field.type) if field.name in values else pa.nulls(len(rows), field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _facts(row: AuditRow) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(row.facts)
    except ValueError as error:
        raise _unreadable(row, error) from error
    return facts
