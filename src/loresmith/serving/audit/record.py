"""What an audit record says.

Of each request there are two: an intent, on the disk before the first token leaves, which says who asks for what and
what was decided; and an outcome, which says what came of it. What was said in so many words stands apart, encrypted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.ledger.audit_records import AuditRow, Phase
from loresmith.ledger.digest import canonical_json, parse_json

COLUMNS = ("response", "phase", "at", "tenant", "principal", "release")
"""Facts that are columns of the ledger, by which records are found; the others stand in its `facts`."""

SHOWN_WITHOUT_INTENT = frozenset({"/metrics"})
"""Routes that show figures alone, also while no intent can be written: of who reads them there is an outcome."""


class GuardVerdict(BaseModel):
    """What a guard made of a text; never the text."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)

    guard: str = Field(description="The guard's kind: privacy, secrets, injection, ...")
    where: str = Field(description="Which text: input, retrieved, tool, output.")
    role: str = Field(default="", description="Whose message it was in.")
    action: str = Field(description="What was done: allow, redact, refuse, route, ask; or failed.")
    rule: str = Field(default="", description="What it recognised, such as `email`.")
    count: int = Field(default=0, ge=0, description="How often.")
    digest: str = Field(default="", description="A digest of what it recognised.")
    lengths: tuple[int, ...] = Field(default=(), description="How long each was, in characters.")


class AuditedResource(BaseModel):
    """What a request was about, as the policy saw it: a release by its own name, an adapter as `RELEASE:NAME`.

    Records of earlier versions have the name under which it was served; see `policy.recorded.recorded_resource`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)

    kind: Literal["release", "adapter", "document", "gateway"]
    id: str
    labels: tuple[str, ...] = Field(default=(), description="Every label that it carries, in order.")
    attributes: Mapping[str, str] = Field(default={}, description="What else policies may ask of it.")


class AuditRecord(BaseModel):
    """One record. What is not known yet, or has no meaning here, is left at its default.

    What is at its default is not stored: a default, once released, stays what it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    response: str = Field(min_length=1, description="The id that the answer carries.")
    phase: Phase
    at: str = Field(description="When, in UTC.")
    tenant: str = Field(description="Whose key the content is encrypted with.")
    principal: str = Field(description="Who asks: `user:ada`; empty for somebody whose credential was no good.")
    release: str = Field(default="", description="The release that was asked for, without its channel.")

    served: str = Field(default="", description="The name under which it is served, by which callers ask for it.")
    groups: tuple[str, ...] = Field(default=(), description="The groups that the caller was in.")
    labels: tuple[str, ...] = Field(default=(), description="The labels that the caller held, in order.")
    credential: str = Field(default="", description="The API key's id, or a token's `issuer#jti`.")
    action: str = Field(default="", description="complete, retrieve, feedback or administer.")
    channel: str = Field(default="", description="The release's channel.")
    model: str = Field(default="", description="The digest of the model that the channel pointed at.")
    adapter: str = Field(default="", description="The digest of the adapter, if there is one.")
    resource: AuditedResource | None = Field(default=None, description="What the decision was about.")
    context: Mapping[str, Any] = Field(default={}, description="What else the policy was told, such as the route.")
    policy: str = Field(default="", description="The digest of the policies in force.")
    allowed: bool = Field(default=False, description="What they decided.")
    policies: tuple[str, ...] = Field(default=(), description="Which of them decided it.")
    guards: tuple[GuardVerdict, ...] = Field(default=(), description="What the guards found.")
    guards_digest: str = Field(
        default="",
        description="The digest of the guards in force, with the files that they read; empty in records of versions "
        "that did not note it.",
    )
    documents: tuple[str, ...] = Field(default=(), description="The ids of the documents that were retrieved.")
    answer_labels: tuple[str, ...] = Field(
        default=(), description="The labels of the model and of all that was retrieved: what the answer carries."
    )
    about: str = Field(default="", description="Of feedback: the id of the answer that it is on.")
    choices: int = Field(default=1, ge=1, description="How many answers were asked for (`n`).")
    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0, description="Of all answers.")
    cached_tokens: int = Field(default=0, ge=0, description="Of the prompt's tokens, those that were in the cache.")
    latency_ms: int = Field(default=0, ge=0, description="From the request to the end of the answer, in milliseconds.")
    first_token_ms: int = Field(default=0, ge=0, description="From the request to the first token, in milliseconds.")
    status: int = Field(default=0, ge=0, description="The HTTP status that was answered; 0: nothing was yet.")
    bytes_scanned: int = Field(default=0, ge=0, description="The bytes of all answers that the guards saw.")
    bytes_emitted: int = Field(default=0, ge=0, description="Those that went out.")
    consent: bool = Field(default=False, description="Whether the caller lets the conversation be learnt from.")
    error: str = Field(default="", description="What went wrong, without what was said.")

    def row(self, content: bytes | None = None) -> AuditRow:
        """The record as the ledger stores it, with its encrypted content."""
        facts = self.model_dump(mode="json", exclude=set(COLUMNS), exclude_defaults=True)
        return AuditRow(
            response=self.response,
            phase=self.phase,
            at=self.at,
            tenant=self.tenant,
            principal=self.principal,
            release=self.release,
            facts=canonical_json(facts).decode(),
            content=content,
        )

    @classmethod
    def from_row(cls, row: AuditRow) -> AuditRecord:
        """The record that was stored. Raises ValueError for what is none."""
        columns = {name: getattr(row, name) for name in COLUMNS}
        return cls.model_validate({**parse_json(row.facts), **columns})


class Content(BaseModel):
    """What was said: the conversation as it came in (intent), and what was answered (outcome)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages: tuple[Mapping[str, Any], ...] = Field(default=(), description="The conversation, in OpenAI's form.")
    tools: tuple[Mapping[str, Any], ...] = Field(default=(), description="The tools that were offered.")
    answer: Mapping[str, Any] | None = Field(
        default=None, description="The assistant's message, in OpenAI's form, as it went out."
    )
    others: tuple[Mapping[str, Any], ...] = Field(
        default=(), description="Where several answers were asked for: those after the first, in the order of `n`."
    )

    @property
    def answers(self) -> tuple[Mapping[str, Any], ...]:
        """All that was answered, in the order of `n`."""
        return () if self.answer is None else (self.answer, *self.others)
