"""What was said through a gateway, as far as the audit keeps it, with what the guards of that time found in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from loresmith.serving.audit.record import AuditRecord, Content, GuardVerdict
from loresmith.serving.audit.search import Found, found_of
from loresmith.serving.audit.tenant_keys import ContentGoneError, TenantKeys
from loresmith.serving.retrieval.prompt import Shown, Ungrounded, without_passages

if TYPE_CHECKING:
    from loresmith.ledger import Ledger


@dataclass(frozen=True)
class RecordedTalk:
    """A request that guards looked at, with its answer.

    Attributes:
        record: its newest record: the outcome, where there is one.
        at: when it came.
        kept: whether its words are there: `omitted`, also where it was refused before any were kept; `gone`: nobody
            can read them any more.
        messages, tools: as the guards of that time let them in, without the passages that were retrieved.
        passages: those that the model was shown.
        answers: what went out, in OpenAI's form; empty where nothing did, or it was not kept.
        ended: whether all came to their end that no guard stopped; else more would have followed.
    """

    record: AuditRecord
    at: str
    kept: Literal["kept", "omitted", "gone"]
    messages: Sequence[Mapping[str, Any]] = ()
    tools: Sequence[Mapping[str, Any]] = ()
    passages: tuple[Shown, ...] = ()
    answers: tuple[Mapping[str, Any], ...] = ()
    ended: bool = False

    @property
    def verdicts(self) -> tuple[GuardVerdict, ...]:
        """What the guards of that time found."""
        return self.record.guards


def recorded_talks(ledger: Ledger, keys: TenantKeys, since: str, instructions: str) -> Iterator[RecordedTalk | None]:
    """The audit's requests, each when its last record comes; None for one that no guard was asked about. What
    administrators did is left out: there is no word in it.

    Args:
        since: those that came at this time or later (a time of the ledger's form).
        instructions: what models were told about passages.

    Raises:
        Failure: a record cannot be read, or its content is damaged.
    """
    keys.refresh()
    under_way: dict[str, Found] = {}
    for found in map(found_of, ledger.audit_records.search(since=since, content=True)):
        record = found.record
        if record.action == "administer":
            continue
        if record.phase == "intent":
            under_way[record.response] = found
            continue
        intent = under_way.pop(record.response, None)
        if not (record.allowed and record.principal):
            yield None
        elif intent is not None or not _has_intent(ledger, record.response):
            yield _talk(intent, found, keys, instructions)
    for intent in under_way.values():
        yield _talk(intent, None, keys, instructions) if intent.record.allowed else None


def _has_intent(ledger: Ledger, response: str) -> bool:
    return any(row.phase == "intent" for row in ledger.audit_records.of(response))


def _talk(intent: Found | None, outcome: Found | None, keys: TenantKeys, instructions: str) -> RecordedTalk:
    newest = outcome or intent
    assert newest is not None
    record = newest.record
    at = (intent or newest).record.at
    if intent is None or intent.sealed is None:
        return RecordedTalk(record, at, "omitted")
    try:
        asked = _opened(intent, keys)
        said = Content() if outcome is None else _opened(outcome, keys)
    except ContentGoneError:
        return RecordedTalk(record, at, "gone")
    bare = without_passages(asked.messages, instructions)
    if bare.passages and not record.documents:  # a caller wrote what looks like passages
        bare = Ungrounded([dict(message) for message in asked.messages], ())
    ended = record.status == 200
    return RecordedTalk(record, at, "kept", bare.messages, asked.tools, bare.passages, said.answers, ended)


def _opened(found: Found, keys: TenantKeys) -> Content:
    """What was said; nothing, where nothing was kept."""
    if found.sealed is None:
        return Content()
    record = found.record
    return Content.model_validate_json(keys.open(found.sealed, record.response, record.phase, refresh=False))
