"""Requests as the audit has them, with the groups that their callers would be in now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from loresmith.ledger import Ledger
from loresmith.serving.audit.record import AuditRecord
from loresmith.serving.audit.search import requests
from loresmith.serving.identity.groups import Groups
from loresmith.serving.policy.replay import Recorded
from loresmith.serving.policy.resource import ACTIONS, Action, Resource
from loresmith.serving.policy.served import SEPARATOR


def recorded_requests(ledger: Ledger, groups: Groups, since: str) -> Iterator[Recorded | None]:
    """The audit's requests, in the order of the log; None for one about which no policy was asked.

    Callers get the groups that `groups` lists them in, and those that their API key brings. Of a token the audit knows
    only all groups that its caller was in, so these count as brought.

    Args:
        since: those of this time and later (a time of the ledger's form).
    """
    keys = {credential.key: credential.groups for credential in ledger.credentials.list(revoked=True)}
    for found in requests(ledger.audit_records, since=since):
        yield _recorded(found.record, keys, groups)


def _recorded(record: AuditRecord, keys: dict[str, tuple[str, ...]], groups: Groups) -> Recorded | None:
    action, about = _action(record.action), recorded_resource(record)
    if about is None or action is None or not record.principal:
        return None
    return Recorded(
        response=record.response,
        at=record.at,
        principal=groups.principal(record.principal, keys.get(record.credential, record.groups), record.credential),
        action=action,
        resource=about,
        allowed=record.allowed,
        policies=record.policies,
        context={**record.context, "at": datetime.fromisoformat(record.at)},
    )


def recorded_resource(record: AuditRecord) -> Resource | None:
    """What a record is about, by the release's own name: earlier versions put down the name under which it was served,
    beside the release."""
    about = record.resource
    if about is None:
        return None
    name = about.id
    if record.release and about.kind == "release":
        name = record.release
    elif record.release and about.kind == "adapter":
        name = f"{record.release}{SEPARATOR}{name.rpartition(SEPARATOR)[2]}"
    return Resource(about.kind, name, frozenset(about.labels), about.attributes)


def _action(name: str) -> Action | None:
    return next((action for action in ACTIONS if action == name), None)
