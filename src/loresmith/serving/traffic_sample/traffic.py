"""What the gateway tells of a request that it has dealt with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["answered", "redacted", "refused", "denied", "failed"]
"""`redacted`: answered, and a guard took something out; `refused`: by a guard; `denied`: by the policy."""


@dataclass(frozen=True)
class Traffic:
    """One request and what came of it.

    Attributes:
        response: the id that the answer carried.
        at: when, as a timestamp of the ledger.
        release: `release@channel`.
        model: the digest of the model.
        tenant: whose key content is encrypted with.
        messages: the conversation as guards left it, in OpenAI's form, without what was retrieved for it.
        admitted: whether guards let it in. Of what they did not, no content is kept.
        answer: what went out.
        prompt_ids, answer_ids: tokens, where the engine tells them.
        prompt_tokens, answer_tokens: how many there were.
        log_probabilities: of the answer's tokens, where the engine tells them.
        guard_hits: `guard:rule` of what guards found.
        labels: what the answer carries.
        consent: whether the caller lets it be learnt from.
    """

    response: str
    at: str
    release: str
    model: str
    tenant: str
    outcome: Outcome
    messages: Sequence[Mapping[str, Any]]
    admitted: bool = True
    answer: str = ""
    prompt_ids: Sequence[int] = ()
    answer_ids: Sequence[int] = ()
    prompt_tokens: int = 0
    answer_tokens: int = 0
    log_probabilities: Sequence[float] = ()
    guard_hits: Sequence[str] = ()
    labels: Sequence[str] = ()
    tool_calls: int = 0
    first_token_ms: int = 0
    latency_ms: int = 0
    consent: bool = False

    @property
    def hour(self) -> str:
        """`2026-11-22T14`, in UTC."""
        return self.at[:13]
