"""One request on its way: held against the policy, admitted by the quotas, and put on the record before and after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Literal

from loresmith.ledger.clock import timestamp
from loresmith.serving.audit.record import AuditedResource, AuditRecord, Content, GuardVerdict
from loresmith.serving.audit.writer import AuditUnavailable
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.gateway.problem import Problem
from loresmith.serving.gateway.time_limit import TimeLimit
from loresmith.serving.guards.verdict import Verdict
from loresmith.serving.identity.principal import Principal
from loresmith.serving.policy.policy import Decision
from loresmith.serving.policy.resource import Action, Resource
from loresmith.serving.quotas.over_quota import OverQuota

GONE = 499
"""The status of a request whose caller went away, as on the record."""


class Standing:
    """One request.

    Args:
        principal: who asks.
        action: what for.
        response: the id that its answer carries.
        limit: of the time that it may take.
        context: what policies may know of it; what is added to it later, they know later.

    Attributes:
        rules: in force when it came.
        stack: of what is to be undone when it ends.
        verdicts: of guards, so far.
        resource: what the policy was asked about last.
        decision: what it said.
        intended: whether the intent is on the record.
    """

    def __init__(
        self,
        gateway: Gateway,
        principal: Principal,
        action: Action,
        response: str,
        limit: TimeLimit,
        context: dict[str, Any],
    ) -> None:
        self._gateway = gateway
        self._action: Action = action
        self._limit = limit
        self._begun = time.monotonic()
        self._grant: Any = None
        self.rules = gateway.rules
        self.principal = principal
        self.response = response
        self.context = context
        self.stack = AsyncExitStack()
        self.verdicts: list[Verdict] = []
        self.resource: Resource | None = None
        self.decision: Decision | None = None
        self.intended = False

    @property
    def seconds(self) -> float:
        """Since it came."""
        return time.monotonic() - self._begun

    @property
    def milliseconds(self) -> int:
        return round(self.seconds * 1000)

    def decide(self, resource: Resource, denied: Problem) -> None:
        """Go on only if the policy lets the caller do this to the resource.

        Raises:
            Problem: it does not, which is told as `denied`.
        """
        self.resource = resource
        self.decision = self.rules.policy.decide(self.principal, self._action, resource, self.context)
        if not self.decision.allowed:
            denied.reason = "; ".join(self.decision.errors) or "denied by the policy"
            raise denied

    def decide_on_tokens(self, tokens: int, denied: Problem) -> None:
        """As `decide`, of the same resource, where a policy asks how many tokens it takes.

        Raises:
            Problem: the policy does not let the caller do this, which is told as `denied`.
        """
        if self.rules.policy.reads("tokens"):
            assert self.resource is not None
            self.context["tokens"] = tokens
            self.decide(self.resource, denied)

    def require_open(self) -> None:
        """Go on only if something can be put on the record, and the gateway is not ending.

        Raises:
            Problem: neither is so.
        """
        if not self._gateway.audit.healthy:
            raise unrecorded()
        if self._gateway.draining:
            raise Problem(503, "the gateway is ending", code="unavailable", retry_after=5)

    async def admit(self, tokens: int, answers: int = 1) -> None:
        """Wait for its turn.

        Raises:
            Problem: it is too much.
        """
        try:
            admitted = self._gateway.quotas.admit(self.principal, tokens, answers)
            self._grant = await self.stack.enter_async_context(admitted)
        except OverQuota as error:
            raise Problem(
                429, f"too much: {error.what}", code="rate_limit_exceeded", retry_after=error.retry_after_seconds
            ) from None

    async def intend(self, record: AuditRecord, content: Content | None = None) -> None:
        """Put on the record that it will be done.

        Raises:
            Problem: that cannot be; it must not be done.
        """
        try:
            await self._gateway.audit.intent(record, content)
        except AuditUnavailable as error:
            raise unrecorded(error.what) from None
        self.intended = True

    def ended_by(self, error: BaseException | None) -> tuple[int, str]:
        """The status of a request that ended by this, and why, as on the record."""
        if isinstance(error, asyncio.CancelledError) and self._limit.passed:
            error = self._limit.problem()
        if isinstance(error, Problem):
            return error.status, error.reason or error.code or ""
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            return GONE, "the caller went away"
        return (200, "") if error is None else (500, type(error).__name__)

    async def leave(self, tokens: int) -> None:
        """Settle what it took, and undo what is to be undone."""
        if self._grant is not None:
            self._grant.settle(tokens)
        await self.stack.aclose()

    def record(self, phase: Literal["intent", "outcome"], verdicts: Sequence[Verdict], **facts: Any) -> AuditRecord:
        """What goes on the record of it.

        Args:
            facts: beside those that every request has.
        """
        principal, decision, resource = self.principal, self.decision, self.resource
        return AuditRecord(
            response=self.response,
            phase=phase,
            at=timestamp(),
            tenant=principal.tenant,
            principal=principal.id,
            groups=principal.groups,
            labels=tuple(sorted(principal.labels)),
            credential=principal.credential,
            action=self._action,
            resource=None if resource is None else _audited(resource),
            context=self.context,
            policy=self.rules.policy.digest,
            guards_digest=self.rules.guards_digest,
            allowed=decision is not None and decision.allowed,
            policies=() if decision is None else decision.policies,
            guards=tuple(GuardVerdict(**vars(verdict)) for verdict in verdicts),
            **facts,
        )

    def count(self, route: str, name: str, status: int, tokens: Mapping[str, int], verdicts: Sequence[Verdict]) -> None:
        """Put it into the metrics.

        Args:
            name: of what was asked.
            tokens: by their kind.
        """
        telemetry = self._gateway.telemetry
        telemetry.requests.labels(route, name, str(status)).inc()
        telemetry.latency.labels(route).observe(self.seconds)
        for kind, number in tokens.items():
            if number:
                telemetry.tokens.labels(name, kind).inc(number)
        if any(verdict.action == "ask" for verdict in verdicts):
            telemetry.asks_human.labels(name).inc()
        for verdict in verdicts:
            telemetry.verdicts.labels(verdict.guard, verdict.where, verdict.action).inc(verdict.count)


def unrecorded(reason: str = "") -> Problem:
    """Nothing is done of which there would be no record."""
    message = "this cannot be put on the record just now, so it is not done"
    return Problem(503, message, code="audit_unavailable", retry_after=5, reason=reason)


def _audited(resource: Resource) -> AuditedResource:
    labels = tuple(sorted(resource.labels))
    return AuditedResource(kind=resource.kind, id=resource.id, labels=labels, attributes=resource.attributes)
