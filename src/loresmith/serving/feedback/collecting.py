"""Makes conversations of feedback, in the form in which `ingest-messages` reads them.

| feedback | what is learnt | `metadata.rejected` |
|---|---|---|
| a thumb up | the answer | |
| a correction | what should have been answered | the answer |
| a pair | the better one | the other one |
| a thumb down, a comment | nothing: they do not say what is right | |

Only the last turn is learnt: what an assistant said before it has a weight of 0. Of what one caller said of one answer,
the last counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loresmith.data.messages import MESSAGE_KEYS
from loresmith.errors import Failure
from loresmith.serving.audit.tenant_keys import ContentGoneError
from loresmith.serving.feedback.given import SEALED

if TYPE_CHECKING:
    from loresmith.ledger import AuditRow, Feedback, Ledger
    from loresmith.serving.audit.tenant_keys import TenantKeys

NO_CONSENT = "no consent"
NOT_KEPT = "what was said was not kept"
ERASED = "erased"
DAMAGED = "damaged"
NOTHING_RIGHT = "does not say what is right"
REPLACED = "replaced by what was said later"


@dataclass
class Collected:
    """What became of each piece of feedback.

    Attributes:
        records: conversations, by the kind of feedback.
        left_out: by reason.
    """

    records: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


class NotUsedError(Exception):
    """Feedback of which no conversation is made; says why."""


def collect(
    ledger: Ledger,
    keys: TenantKeys,
    collected: Collected,
    *,
    since: str | None = None,
    until: str | None = None,
    release: str | None = None,
    tenant: str | None = None,
) -> Iterator[str]:
    """A line of JSON for each conversation that feedback makes.

    Args:
        collected: is told what becomes of each.
        since: feedback of this time and later (a `timestamp`).
        until: feedback before this time.
        release: feedback on answers of this release.
    """
    last: dict[tuple[str, int, str], Feedback] = {}
    for given in ledger.feedback.list(since=since, until=until, tenant=tenant):
        if release not in (None, given.facts["release"]):
            continue
        about = (given.response, given.facts.get("choice", 0), given.principal)
        if last.pop(about, None) is not None:
            collected.left_out[REPLACED] += 1
        last[about] = given
    keys.refresh()
    for given in last.values():
        try:
            record = _record(ledger, keys, given)
        except NotUsedError as reason:
            collected.left_out[str(reason)] += 1
        else:
            collected.records[given.facts["kind"]] += 1
            yield json.dumps(record, ensure_ascii=False) + "\n"


def _record(ledger: Ledger, keys: TenantKeys, given: Feedback) -> dict[str, Any]:
    kind = given.facts["kind"]
    if not given.facts["consent"]:
        raise NotUsedError(NO_CONSENT)
    if kind == "comment" or (kind == "thumb" and given.facts.get("rating") != "up"):
        raise NotUsedError(NOTHING_RIGHT)
    asked, answered = _exchange(ledger, keys, given.response)
    said = _opened(keys, given.content, given.id, SEALED) if kind != "thumb" else {}
    answer = _answer(answered, given.facts.get("choice", 0))
    if kind == "thumb":
        right, rejected = dict(answer), None
    elif kind == "correction":
        right, rejected = {"role": "assistant", "content": said["correction"]}, answer.get("content")
    else:
        right, rejected = {"role": "assistant", "content": said["preferred"]}, said["rejected"]
    metadata = {"feedback": given.id, "response": given.response, "kind": kind, "release": given.facts["release"]}
    if rejected is not None:
        metadata["rejected"] = rejected
    return {
        "messages": [*(_shown(message) for message in asked.get("messages", ())), _message(right)],
        "tools": asked.get("tools", []),
        "labels": given.facts["labels"],
        "metadata": metadata,
    }


def _exchange(ledger: Ledger, keys: TenantKeys, response: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was asked and what was answered."""
    rows: dict[str, AuditRow] = {}
    for row in ledger.audit_records.of(response):
        rows.setdefault(row.phase, row)
    if rows.keys() != {"intent", "outcome"}:
        raise NotUsedError(DAMAGED)
    asked, answered = (_opened(keys, rows[phase].content, response, phase) for phase in ("intent", "outcome"))
    return asked, answered


def _answer(answered: Mapping[str, Any], choice: int) -> Mapping[str, Any]:
    """Of what was answered, that which feedback is about."""
    answers = [answered.get("answer") or {}, *answered.get("others", ())]
    if choice >= len(answers):
        raise NotUsedError(DAMAGED)
    found: Mapping[str, Any] = answers[choice]
    return found


def _opened(keys: TenantKeys, sealed: bytes | None, record: str, phase: str) -> dict[str, Any]:
    if sealed is None:
        raise NotUsedError(NOT_KEPT)
    try:
        said: dict[str, Any] = json.loads(keys.open(sealed, record, phase, refresh=False))
    except ContentGoneError as gone:
        raise NotUsedError(ERASED) from gone
    except Failure as failure:
        raise NotUsedError(DAMAGED) from failure
    return said


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of OpenAI's form without what no template knows, such as `refusal`."""
    return {key: message[key] for key in MESSAGE_KEYS if message.get(key) is not None}


def _shown(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of what was asked: it is shown, and not learnt."""
    return {**_message(message), **({"weight": 0} if message.get("role") == "assistant" else {})}
