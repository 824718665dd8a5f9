"""A credential is what its latest event says, and whoever keeps a copy can tell cheaply that it is stale."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from loresmith.errors import UserError
from loresmith.ledger import Ledger
from tests.ledger.places import AT

OLD, NEW, NEWEST = "1" * 64, "2" * 64, "3" * 64


def test_the_latest_event_decides(ledger: Ledger) -> None:
    made = ledger.credentials.create("k-1", "service:crm", ["sales", "support", "sales"], OLD, None, "for the CRM")
    assert (made.principal, made.groups, made.hash) == ("service:crm", ("sales", "support"), OLD)
    assert (made.previous_hash, made.previous_until, made.expires_at, made.revoked) == (None, None, None, False)
    assert (made.reason, made.actor, made.created_at) == ("for the CRM", "ada@host", made.at)
    turned = ledger.credentials.rotate("k-1", NEW, AT, "yearly", expires_at=AT)
    assert (turned.hash, turned.previous_hash, turned.previous_until, turned.expires_at) == (NEW, OLD, AT, AT)
    assert (turned.principal, turned.groups, turned.created_at) == (made.principal, made.groups, made.at)
    again = ledger.credentials.rotate("k-1", NEWEST, AT, "it leaked")
    assert (again.hash, again.previous_hash, again.expires_at) == (NEWEST, NEW, AT)
    assert ledger.credentials.get("k-1") == again
    assert ledger.credentials.list() == [again]
    gone = ledger.credentials.revoke("k-1", "the CRM is gone")
    assert (gone.revoked, gone.previous_until, gone.reason) == (True, None, "the CRM is gone")
    assert ledger.credentials.list() == []
    assert ledger.credentials.list(revoked=True) == [gone] == [ledger.credentials.get("k-1")]


def test_credentials_are_listed_the_oldest_first(ledger: Ledger) -> None:
    for key in ("z", "a", "m"):
        ledger.credentials.create(key, "user:ada", [], OLD, None, "to work")
    ledger.credentials.rotate("z", NEW, AT, "yearly")
    assert [credential.key for credential in ledger.credentials.list()] == ["z", "a", "m"]


def test_every_event_changes_the_version_and_nothing_else_does(ledger: Ledger) -> None:
    credentials, seen = ledger.credentials, [ledger.credentials.version()]
    changes: list[Callable[[], object]] = [
        lambda: credentials.create("k-1", "user:ada", [], OLD, None, "to work"),
        lambda: credentials.create("k-2", "user:bob", [], OLD, None, "to work"),
        lambda: credentials.rotate("k-1", NEW, AT, "yearly"),
        lambda: credentials.revoke("k-2", "he left"),
    ]
    for change in changes:
        change()
        ledger.audit_records.note("audit-gap", "something else")
        assert credentials.version() not in seen
        assert credentials.version() == credentials.version()
        seen.append(credentials.version())


def test_what_makes_no_sense_is_refused_and_leaves_nothing(ledger: Ledger) -> None:
    credentials = ledger.credentials
    credentials.create("k-1", "user:ada", [], OLD, None, "to work")
    credentials.create("k-2", "user:ada", [], OLD, None, "to work")
    credentials.revoke("k-2", "lost")
    before = ledger.log.head()
    refused: list[tuple[str, Callable[[], object]]] = [
        ("k-1 already", lambda: credentials.create("k-1", "user:eve", [], NEW, None, "to steal")),
        ("k-2 already", lambda: credentials.create("k-2", "user:eve", [], NEW, None, "to steal")),
        ("was revoked on", lambda: credentials.rotate("k-2", NEW, AT, "yearly")),
        ("was revoked on", lambda: credentials.revoke("k-2", "lost")),
        ("did you mean 'k-1'", lambda: credentials.revoke("k_1", "lost")),
        ("needs a reason", lambda: credentials.revoke("k-1", " ")),
        ("unknown key 'absent'", lambda: credentials.get("absent")),
    ]
    for said, nonsense in refused:
        with pytest.raises(UserError, match=said):
            nonsense()
    assert ledger.log.head() == before
