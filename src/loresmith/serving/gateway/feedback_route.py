"""`/v1/feedback`: what a caller says of an answer that it got."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from loresmith.errors import Failure, UserError
from loresmith.serving.audit.record import AuditRecord
from loresmith.serving.audit.writer import LATER_SECONDS
from loresmith.serving.feedback.given import GivenFeedback, exchange_of, take
from loresmith.serving.gateway.deed import Deed
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.gateway.problem import Problem
from loresmith.serving.identity.principal import Principal
from loresmith.serving.policy.recorded import recorded_resource
from loresmith.serving.policy.resource import Resource

_WORDS = ("correction", "preferred", "rejected", "comment")

_ANSWERS = ("/v1/chat/completions", "/v1/completions", "/v1/responses")
"""Where answers come from; a vector or a piece of feedback is none."""

_T = TypeVar("_T")


class FeedbackDesk:
    """Takes feedback for one gateway; the disk is waited for in a thread of its own."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feedback")

    async def take(self, request: Request, given: GivenFeedback) -> Response:
        """Put feedback on the record.

        Raises:
            Problem: it is not taken.
        """
        gateway = self._gateway
        async with Deed(gateway, request, "feedback") as deed:
            deed.facts["about"] = given.response
            asked, answered = await self._exchange(given.response, deed.principal)
            deed.facts |= {name: getattr(asked, name) for name in ("release", "served", "channel", "model", "adapter")}
            deed.decide(
                _resource(asked, answered), Problem(403, "you may not give feedback on this answer", code="forbidden")
            )
            _require_choice(given, answered)
            given = await _examined(deed, given)
            await deed.admit(0)
            await deed.intend()
            keep = gateway.rules.config.audit.content == "encrypted"
            try:
                taken = await self._done(
                    partial(take, gateway.ledger, gateway.keys, deed.principal, given, keep_content=keep)
                )
            except Failure as failure:
                message = "feedback cannot be kept just now"
                raise Problem(503, message, code="unavailable", retry_after=5, reason=failure.what) from None
        return JSONResponse(
            {
                "id": taken.id,
                "object": "feedback",
                "response": taken.response,
                "kind": taken.facts["kind"],
                "consent": taken.facts["consent"],
                "labels": taken.facts["labels"],
            }
        )

    async def _exchange(self, response: str, principal: Principal) -> tuple[AuditRecord, AuditRecord]:
        """What was asked and what was answered. The end of an answer comes on the record a moment after the caller has
        it, so whoever is quick is waited for."""
        find = partial(exchange_of, self._gateway.ledger, response, principal)
        try:
            return await self._done(find)
        except UserError:
            await asyncio.sleep(4 * LATER_SECONDS)
        try:
            return await self._done(find)
        except UserError as error:
            raise Problem(404, error.what, code="not_found", param="response") from None

    async def _done(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _require_choice(given: GivenFeedback, answered: AuditRecord) -> None:
    if given.choice >= answered.choices:
        message = f"{given.response} has no choice {given.choice}: it has {answered.choices}, counted from 0"
        raise Problem(404, message, code="not_found", param="choice")


def _resource(asked: AuditRecord, answered: AuditRecord) -> Resource:
    """The release or adapter that answered, with every label that the answer carries."""
    about = recorded_resource(answered) or recorded_resource(asked)
    if about is None or asked.context.get("route") not in _ANSWERS:
        raise Problem(404, f"{asked.response} is no answer", code="not_found", param="response")
    labels = {*about.labels, *asked.answer_labels, *answered.answer_labels}
    return replace(about, labels=frozenset(labels))


async def _examined(deed: Deed, given: GivenFeedback) -> GivenFeedback:
    """The feedback with its words as guards let them in."""
    words = {name: text for name in _WORDS if (text := getattr(given, name))}
    if not words:
        return given
    texts = dict(zip(words, await deed.examined(list(words.values())), strict=True))
    try:
        return GivenFeedback.model_validate({**given.model_dump(), **texts})
    except ValidationError:
        message = "what guards leave of it says nothing"
        raise Problem(400, message, code="content_filter", reason="nothing is left after redaction") from None
