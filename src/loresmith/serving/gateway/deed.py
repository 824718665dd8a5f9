"""A request that is not for an answer in words, held against the same rules and put on the same record as answers are.

In this order: the policy decides; guards look at what came in; the quotas admit it; the intent is put on the record;
then it is done, and what came of it is put on the record.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from starlette.requests import Request

from loresmith.ledger.clock import timestamp
from loresmith.serving.audit.record import AuditedResource, AuditRecord, GuardVerdict
from loresmith.serving.audit.writer import AuditUnavailable
from loresmith.serving.gateway.door import principal_of
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.gateway.problem import Problem
from loresmith.serving.guards.guard import Context
from loresmith.serving.guards.verdict import Verdict
from loresmith.serving.policy.policy import Decision
from loresmith.serving.policy.resource import Action, Resource
from loresmith.serving.quotas.over_quota import OverQuota

_UNRECORDED = "this cannot be put on the record just now, so it is not done"
_GONE = 499


class Deed:
    """One such request, as an asynchronous context: its end is on the record however it ends.

    Args:
        action: what the caller wants to do.

    Attributes:
        principal: who asks.
        facts: of the audit record, beside those that all have: release, model, about, ...
        tokens: that were worked through; what the quotas count.
    """

    def __init__(self, gateway: Gateway, request: Request, action: Action) -> None:
        self._gateway = gateway
        self._rules = gateway.rules
        self._action: Action = action
        self._route = request.url.path
        client = request.client
        self._context: dict[str, Any] = {"route": self._route, **({"address": client.host} if client else {})}
        self._response: str = request.scope["state"]["response_id"]
        self._begun = time.monotonic()
        self._stack = AsyncExitStack()
        self._decision: Decision | None = None
        self._resource: Resource | None = None
        self._verdicts: list[Verdict] = []
        self._grant: Any = None
        self.principal = principal_of(request.scope)
        self.facts: dict[str, Any] = {}
        self.tokens = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._grant is not None:
            self._grant.settle(self.tokens)
        await self._stack.aclose()
        status, why = 200, ""
        if isinstance(error, Problem):
            status, why = error.status, error.reason or error.code or ""
        elif isinstance(error, asyncio.CancelledError):
            status, why = _GONE, "the caller went away"
        elif error is not None:
            status, why = 500, type(error).__name__
        seconds = time.monotonic() - self._begun
        outcome = {"prompt_tokens": self.tokens, "status": status, "error": why, "latency_ms": round(seconds * 1000)}
        # It outlasts whoever cancels this, and trouble with the record.
        self._gateway.audit.outcome_later(self._record("outcome", **outcome))
        self._count(status, seconds)

    def decide(self, resource: Resource, denied: Problem) -> None:
        """Go on only if the policy lets the caller do this to the resource.

        Raises:
            Problem: it does not, which is told as `denied`; or nothing may be done just now.
        """
        decision = self._rules.policy.decide(self.principal, self._action, resource, self._context)
        self._resource, self._decision = resource, decision
        if not decision.allowed:
            denied.reason = "; ".join(decision.errors) or "denied by the policy"
            raise denied
        if not self._gateway.audit.healthy:
            raise Problem(503, _UNRECORDED, code="audit_unavailable", retry_after=5)
        if self._gateway.draining:
            raise Problem(503, "the gateway is ending", code="unavailable", retry_after=5)

    async def examined(self, texts: Sequence[str]) -> list[str]:
        """Texts as the guards let them in.

        Raises:
            Problem: a guard refuses one.
        """
        messages = [{"role": "user", "content": text} for text in texts]
        context = Context(labels=self.principal.labels)
        examined = await asyncio.to_thread(self._rules.guards.examine, messages, (), (), context)
        self._verdicts += examined.verdicts
        if examined.action not in ("allow", "redact"):
            code = "needs_person" if examined.action == "ask" else "content_filter"
            message = examined.message or "a guard sends this to another release, which cannot do it"
            raise Problem(400, message, code=code, reason=f"a guard: {examined.action}")
        return [str(message["content"]) for message in examined.messages]

    async def admit(self, tokens: int) -> None:
        """Wait for its turn.

        Raises:
            Problem: it is too much.
        """
        try:
            self._grant = await self._stack.enter_async_context(self._gateway.quotas.admit(self.principal, tokens))
        except OverQuota as error:
            raise Problem(
                429, f"too much: {error.what}", code="rate_limit_exceeded", retry_after=error.retry_after_seconds
            ) from None

    async def intend(self) -> None:
        """Put on the record that it will be done.

        Raises:
            Problem: that cannot be; it must not be done.
        """
        try:
            await self._gateway.audit.intent(self._record("intent"))
        except AuditUnavailable as error:
            raise Problem(503, _UNRECORDED, code="audit_unavailable", retry_after=5, reason=error.what) from None

    def _record(self, phase: Any, **outcome: Any) -> AuditRecord:
        principal, decision, resource = self.principal, self._decision, self._resource
        return AuditRecord(
            response=self._response,
            phase=phase,
            at=timestamp(),
            tenant=principal.tenant,
            principal=principal.id,
            groups=principal.groups,
            labels=tuple(sorted(principal.labels)),
            credential=principal.credential,
            action=self._action,
            resource=None
            if resource is None
            else AuditedResource(
                kind=resource.kind,
                id=resource.id,
                labels=tuple(sorted(resource.labels)),
                attributes=resource.attributes,
            ),
            context=self._context,
            policy=self._rules.policy.digest,
            allowed=decision is not None and decision.allowed,
            policies=() if decision is None else decision.policies,
            guards=tuple(GuardVerdict(**vars(verdict)) for verdict in self._verdicts),
            answer_labels=() if resource is None else tuple(sorted(resource.labels)),
            **self.facts,
            **outcome,
        )

    def _count(self, status: int, seconds: float) -> None:
        telemetry, name = self._gateway.telemetry, "" if self._resource is None else self._resource.id
        telemetry.requests.labels(self._route, name, str(status)).inc()
        telemetry.latency.labels(self._route).observe(seconds)
        if self.tokens:
            telemetry.tokens.labels(name, "prompt").inc(self.tokens)
        for verdict in self._verdicts:
            telemetry.verdicts.labels(verdict.guard, verdict.where, verdict.action).inc(verdict.count)
