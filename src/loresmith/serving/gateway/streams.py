"""Answers on their way out: whole, or as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from loresmith.serving.gateway.answer import Answer
from loresmith.serving.gateway.asked import Asked, Piece
from loresmith.serving.gateway.door import ON_RECORD, limit_of, principal_of
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.gateway.problem import Problem
from loresmith.serving.gateway.standing import GONE
from loresmith.serving.gateway.time_limit import TimeLimit

Events = Callable[[Answer, AsyncGenerator[Piece]], AsyncGenerator[str]]
"""Makes the events of a stream of what is said."""

Whole = Callable[[Answer, list[Piece]], dict[str, Any]]
"""Makes a whole answer's JSON."""

DONE = "data: [DONE]\n\n"


def event(data: Any, name: str | None = None) -> str:
    """One server-sent event."""
    named = f"event: {name}\n" if name else ""
    return f"{named}data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def respond(gateway: Gateway, request: Request, asked: Asked, events: Events, whole: Whole) -> Response:
    """Answer a request, as a stream if it asks for one.

    Raises:
        Problem: it is not answered.
    """
    client = request.client
    request.scope["state"][ON_RECORD] = True
    limit = limit_of(request.scope)
    answer = Answer(
        gateway,
        asked,
        principal_of(request.scope),
        request.scope["state"]["response_id"],
        client.host if client else "",
        limit,
        request.headers,
    )
    if not asked.stream:
        return await unless_gone(request, _answered(answer, whole))
    try:
        response = await unless_gone(request, _opened(answer, events, limit))
    except BaseException as error:
        await answer.close(error)  # it may have been opened when this came
        raise
    if isinstance(response, _Stream):
        limit.take_over()
    return response


async def _answered(answer: Answer, whole: Whole) -> Response:
    await answer.open()
    try:
        async with aclosing(answer.pieces()) as pieces:
            said = [piece async for piece in pieces]
        response = JSONResponse(whole(answer, said))
    except BaseException as error:
        await answer.close(error)
        raise
    await answer.close()
    return response


async def _opened(answer: Answer, events: Events, limit: TimeLimit) -> Response:
    await answer.open()
    return _Stream(answer, _streamed(answer, events, limit))


async def _streamed(answer: Answer, events: Events, limit: TimeLimit) -> AsyncGenerator[str]:
    ended: BaseException | None = None
    try:
        async with (
            aclosing(answer.pieces()) as pieces,
            aclosing(limit.keep(pieces)) as timely,
            aclosing(events(answer, timely)) as said,
        ):
            async for one in said:
                yield one
    except Problem as problem:
        ended = problem
        if not problem.told:
            yield event(problem.body())
    except BaseException as error:
        ended = error
        raise
    finally:
        await answer.close(ended)


class _Stream(StreamingResponse):
    """An answer that was opened, on its way out; it is closed whatever becomes of the way."""

    def __init__(self, answer: Answer, events: AsyncGenerator[str]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        self._answer = answer
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()
            await self._answer.close(GeneratorExit())  # of a stream of which nothing was asked for


async def unless_gone(request: Request, work: Awaitable[Response]) -> Response:
    """The answer, unless the caller goes away before it is there: then the work ends, and its slot is free."""
    answering = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        return Response(status_code=GONE)
    finally:
        leaving.cancel()
        if not answering.done():
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
