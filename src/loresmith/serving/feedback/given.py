"""Takes feedback: from the one who asked, on an answer that was given, with the labels that the answer carries."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from loresmith.errors import UserError
from loresmith.serving.audit.search import found_of

if TYPE_CHECKING:
    from loresmith.ledger import Feedback, Ledger
    from loresmith.serving.audit.record import AuditRecord
    from loresmith.serving.audit.tenant_keys import TenantKeys
    from loresmith.serving.identity.principal import Principal

SEALED = "feedback"
"""The phase under which what was said is sealed."""


class GivenFeedback(BaseModel):
    """What the body of `/v1/feedback` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    response: str = Field(min_length=1, max_length=200, description="The id of the answer that it is about.")
    choice: int = Field(
        default=0, ge=0, lt=128, description="Where several answers were asked for (`n`), which of them: its `index`."
    )
    rating: Literal["up", "down"] | None = Field(default=None, description="A thumb.")
    correction: str | None = Field(
        default=None, min_length=1, max_length=1 << 20, description="What should have been answered."
    )
    preferred: str | None = Field(
        default=None, min_length=1, max_length=1 << 20, description="Of two answers to the same, the better one."
    )
    rejected: str | None = Field(default=None, min_length=1, max_length=1 << 20, description="The other one.")
    comment: str | None = Field(default=None, max_length=1 << 16, description="Why, in words. It is not learnt.")
    consent: bool | None = Field(
        default=None,
        description="Whether the conversation may be learnt from; by default what its request said, and no if it said "
        "nothing.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if (self.preferred is None) != (self.rejected is None):
            raise ValueError("preferred and rejected come together")
        if self.correction is not None and self.preferred is not None:
            raise ValueError("a correction or a pair of answers, not both")
        if self.rating is None and self.correction is None and self.preferred is None and not self.comment:
            raise ValueError("nothing is said: a rating, a correction, a pair of answers or a comment")
        return self

    @property
    def kind(self) -> Literal["preference", "correction", "thumb", "comment"]:
        """What it says first of all."""
        if self.preferred is not None:
            return "preference"
        if self.correction is not None:
            return "correction"
        return "thumb" if self.rating is not None else "comment"


def take(
    ledger: Ledger, keys: TenantKeys, principal: Principal, given: GivenFeedback, *, keep_content: bool = True
) -> Feedback:
    """Put feedback on the record. It waits for the disk; call it outside of an event loop.

    Args:
        principal: who gives it; it must be who asked.
        keep_content: keep what it says in words, sealed with the tenant's key; otherwise its kind and rating alone.

    Raises:
        UserError: there is no such answer, or it was somebody else's; which of the two is not told.
        Failure: it could not be written.
    """
    asked, answered = exchange_of(ledger, given.response, principal)
    identity = f"feedback-{secrets.token_hex(12)}"
    labels = {*answered.answer_labels, *asked.answer_labels, *(asked.resource.labels if asked.resource else ())}
    facts: dict[str, Any] = {
        "kind": given.kind,
        "consent": (asked.consent or answered.consent) if given.consent is None else given.consent,
        "labels": sorted(labels),
        "release": asked.release,
        "channel": asked.channel,
        "model": answered.model or asked.model,
        **({"choice": given.choice} if given.choice else {}),
    }
    if given.rating is not None:
        facts["rating"] = given.rating
    said = given.model_dump_json(include={"correction", "preferred", "rejected", "comment"}, exclude_none=True)
    sealed = None
    if keep_content and said != "{}":
        keys.refresh()
        sealed = keys.seal(asked.tenant, identity, SEALED, said.encode())
    return ledger.feedback.add(identity, given.response, asked.tenant, principal.id, facts, sealed)


def exchange_of(ledger: Ledger, response: str, principal: Principal) -> tuple[AuditRecord, AuditRecord]:
    """The intent and the outcome of an answer that this caller got.

    Raises:
        UserError: there is no such answer, or it was somebody else's; which of the two is not told.
    """
    records = [found_of(row).record for row in ledger.audit_records.of(response)]
    mine = [each for each in records if each.principal == principal.id and each.tenant == principal.tenant]
    asked = next((each for each in mine if each.phase == "intent" and each.allowed), None)
    answered = next((each for each in mine if each.phase == "outcome" and each.status == 200), None)
    if asked is None or answered is None:
        raise UserError(f"there is no answer {response} that you were given")
    return asked, answered
