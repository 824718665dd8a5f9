"""Records are found by anything that they say, and by nothing that they do not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from loresmith.errors import Failure, UserError
from loresmith.ledger import Ledger
from loresmith.serving.audit.moments import moment_of
from loresmith.serving.audit.record import AuditRecord, GuardVerdict
from loresmith.serving.audit.search import Query, condition_columns, find, requests
from tests.ledger.places import Place, audit_row
from tests.serving.audit.places import LATER, record

RECORDS = [
    record("r-1"),
    record("r-2", channel="candidate", allowed=False, groups=["staff", "interns"], policies=["no-interns"]),
    record("r-1", "outcome", at=LATER, status=200, prompt_tokens=1500, guards=[{
        "guard": "privacy", "where": "output", "action": "redact", "rule": "email", "count": 2}],
        guards_digest="c" * 64),
    record("r-2", "outcome", at=LATER, status=403, error="denied", resource=None),
]  # fmt: skip


@pytest.fixture
def searched(ledger: Ledger) -> Ledger:
    ledger.audit_records.append([each.row(b"sealed") for each in RECORDS])
    return ledger


def found(ledger: Ledger, **query: str) -> list[int]:
    return [each.leaf for each in find(ledger.audit_records, Query(**query))]  # type: ignore[arg-type]


def test_a_record_comes_back_as_it_was_written(searched: Ledger) -> None:
    assert [each.record for each in find(searched.audit_records, Query())] == RECORDS
    assert [each.sealed for each in find(searched.audit_records, Query())] == [None] * 4
    assert [each.sealed for each in find(searched.audit_records, Query(), content=True)] == [b"sealed"] * 4
    newest = find(searched.audit_records, Query(), newest_first=True)
    assert [each.record for each in newest] == RECORDS[::-1]


@pytest.mark.parametrize(
    ("condition", "leaves"),
    [
        ("status >= 400", [3]),
        ("prompt_tokens > 1000 AND phase = 'outcome'", [2]),
        ("allowed = false", [1]),
        ("'interns' IN groups", [1]),
        ("'privacy' IN guards.guard", [2]),
        ("'redact' IN guards.action AND 2 IN guards.count", [2]),
        ("'clinical' IN resource_labels", [0, 1, 2]),
        ("resource_kind = 'release'", [0, 1, 2]),
        ("channel LIKE 'cand%' OR error = 'denied'", [1, 3]),
        ("guards_digest LIKE 'ccc%'", [2]),
        ("guards_digest = ''", [0, 1, 3]),
        ("status = 9", []),
    ],
)
def test_a_condition_looks_at_everything_that_a_record_says(
    searched: Ledger, condition: str, leaves: list[int]
) -> None:
    assert found(searched, where=condition) == leaves


def test_conditions_can_look_at_every_fact(searched: Ledger) -> None:
    flat = {"resource_kind", "resource_id", "resource_labels"}
    assert set(condition_columns().names) - flat == AuditRecord.model_fields.keys() - {"resource", "context"}
    verdict = condition_columns().field("guards").type.value_type
    assert {field.name for field in verdict} == GuardVerdict.model_fields.keys() - {"lengths"}


def test_all_that_is_asked_for_must_hold(searched: Ledger) -> None:
    assert found(searched, channel="production") == [0, 2, 3]
    assert found(searched, response="r-2") == [1, 3]
    assert found(searched, response="r-2", phase="outcome") == found(searched, response="r-2", since=LATER) == [3]
    assert found(searched, response="r-2", until=LATER, release="acme") == [1]
    assert found(searched, response="r-2", principal="user:eve") == []
    assert found(searched, channel="production", where="status > 0", since=LATER) == [2, 3]


def test_each_request_is_there_once_also_one_that_was_refused_at_once(searched: Ledger) -> None:
    searched.audit_records.append([record("r-3", "outcome", allowed=False, status=403).row(), record("r-4").row()])
    found = [(each.record.response, each.record.phase) for each in requests(searched.audit_records)]
    assert found == [("r-1", "intent"), ("r-2", "intent"), ("r-3", "outcome"), ("r-4", "intent")]


def test_a_condition_that_means_nothing_says_where(searched: Ledger) -> None:
    with pytest.raises(UserError, match="did you mean 'status'"):
        found(searched, where="statsu = 200")


def test_what_cannot_be_read_is_named(ledger: Ledger) -> None:
    ledger.audit_records.append([audit_row("r-1", facts='{"from": "the future"}')])
    with pytest.raises(Failure, match=r"record of r-1 \(leaf 0\) cannot be read"):
        found(ledger)


def test_many_records_are_searched_in_windows(place: Place, tmp_path: Path) -> None:
    with place.open() as ledger:
        ledger.audit_records.append([record(f"r-{number}", status=number).row() for number in range(1201)])
        assert found(ledger, where="status >= 499 AND status < 502 OR status = 1200") == [499, 500, 501, 1200]


def test_times_are_said_in_several_ways() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    said = {
        "2026-11-22": "2026-11-22T00:00:00.000000Z",
        "2026-11-22T14:00": "2026-11-22T14:00:00.000000Z",
        "2026-11-22T14:00+02:00": "2026-11-22T12:00:00.000000Z",
        "90m": "2026-11-22T10:30:00.000000Z",
        "24h": "2026-11-21T12:00:00.000000Z",
        "7d": "2026-11-15T12:00:00.000000Z",
    }
    assert {text: moment_of(text, where="--since", now=now) for text in said} == said
    with pytest.raises(UserError, match="this is no time: yesterday"):
        moment_of("yesterday", where="--since")
