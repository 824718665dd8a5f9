"""A request that is not for an answer in words, held against the same rules and put on the same record as answers are.

In this order: the record can be written; the policy decides; guards look at what came in; the quotas admit it; the
intent is put on the record; then it is done, and what came of it is put on the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal, Self

from starlette.requests import Request

from loresmith.serving.audit.record import AuditRecord
from loresmith.serving.gateway.door import ON_RECORD, limit_of, principal_of, route_of
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.gateway.problem import Problem
from loresmith.serving.gateway.spans import UNSEEN, RequestSpan
from loresmith.serving.gateway.standing import Standing
from loresmith.serving.guards.guard import Context
from loresmith.serving.policy.resource import Action, Resource


class Deed:
    """One such request, as an asynchronous context: its end is on the record however it ends.

    Args:
        action: what the caller wants to do.
        span: of the request; it ends with it.
        looks: the caller only looks on, which is possible also while nothing may be done.

    Attributes:
        principal: who asks.
        facts: of the audit record, beside those that all have: release, model, about, ...
        tokens: that were worked through; what the quotas count.

    Raises:
        Problem: nothing may be done just now.
    """

    def __init__(
        self, gateway: Gateway, request: Request, action: Action, span: RequestSpan = UNSEEN, *, looks: bool = False
    ) -> None:
        client = request.client
        context: dict[str, Any] = {"route": route_of(request.scope), **({"address": client.host} if client else {})}
        request.scope["state"][ON_RECORD] = True
        self._gateway = gateway
        self._route = route_of(request.scope)
        self._span = span
        self._looks = looks
        self.principal = principal_of(request.scope)
        response, limit = request.scope["state"]["response_id"], limit_of(request.scope)
        self._standing = Standing(gateway, self.principal, action, response, limit, context)
        self.facts: dict[str, Any] = {}
        self.tokens = 0

    async def __aenter__(self) -> Self:
        if not self._looks:
            try:
                self._standing.require_open()
            except Problem as problem:
                await self.__aexit__(Problem, problem, None)
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._standing.leave(self.tokens)
        status, why = self._standing.ended_by(error)
        took = self._standing.milliseconds
        outcome = {"prompt_tokens": self.tokens, "status": status, "error": why, "latency_ms": took}
        # It outlasts whoever cancels this, and trouble with the record.
        self._gateway.audit.outcome_later(self._record("outcome", **outcome), intended=self._standing.intended)
        self._standing.count(self._route, self._name, status, {"prompt": self.tokens}, self._standing.verdicts)
        if error is not None:
            self._span.failed(error)
        self._span.end(status)

    def decide(self, resource: Resource, denied: Problem) -> None:
        """Go on only if the policy lets the caller do this to the resource.

        Raises:
            Problem: it does not, which is told as `denied`.
        """
        self._standing.decide(resource, denied)

    def decide_on_tokens(self, tokens: int, denied: Problem) -> None:
        """As `decide`, of the same resource, now that it is known how many tokens it takes.

        Raises:
            Problem: the policy does not let the caller do this, which is told as `denied`.
        """
        self._standing.decide_on_tokens(tokens, denied)

    async def examined(self, texts: Sequence[str]) -> list[str]:
        """Texts as the guards let them in.

        Raises:
            Problem: a guard refuses one.
        """
        messages = [{"role": "user", "content": text} for text in texts]
        context = Context(labels=self.principal.labels)
        examined = await asyncio.to_thread(self._standing.rules.guards.examine, messages, (), (), context)
        self._standing.verdicts += examined.verdicts
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
        await self._standing.admit(tokens)

    async def intend(self) -> None:
        """Put on the record that it will be done.

        Raises:
            Problem: that cannot be; it must not be done.
        """
        await self._standing.intend(self._record("intent"))

    @property
    def _name(self) -> str:
        """What the figures call that which was asked."""
        resource = self._standing.resource
        about = "" if resource is None or resource.kind == "gateway" else resource.id
        return str(self.facts.get("served") or about)

    def _record(self, phase: Literal["intent", "outcome"], **outcome: Any) -> AuditRecord:
        resource = self._standing.resource
        labels = () if resource is None else tuple(sorted(resource.labels))
        return self._standing.record(phase, self._standing.verdicts, answer_labels=labels, **self.facts, **outcome)
