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
from loresmith.serving.gateway.door import principal_of
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.gateway.problem import Problem

Events = Callable[[Answer, AsyncGenerator[Piece]], AsyncGenerator[str]]
"""Makes the events of a stream of what is said."""

Whole = Callable[[Answer, list[Piece]], dict[str, Any]]
"""Makes a whole answer's JSON."""

DONE = "data: [DONE]\n\n"

_CLOSED = 499


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
    answer = Answer(
        gateway,
        asked,
        principal_of(request.scope),
        request.scope["state"]["response_id"],
        client.host if client else "",
    )
    if asked.stream:
        await answer.open()
        return _Stream(
            _streamed(answer, events), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )
    return await unless_gone(request, _answered(answer, whole))


class _Stream(StreamingResponse):
    """Ends what it tells with itself: who stops reading must not hold a slot until Python collects its garbage."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert isinstance(self.body_iterator, AsyncGenerator)
        async with aclosing(self.body_iterator):
            await super().__call__(scope, receive, send)


async def _answered(answer: Answer, whole: Whole) -> Response:
    await answer.open()
    status = 500
    try:
        async with aclosing(answer.pieces()) as pieces:
            said = [piece async for piece in pieces]
        status = 200
        return JSONResponse(whole(answer, said))
    except Problem as problem:
        status = problem.status
        raise
    except asyncio.CancelledError:
        status = _CLOSED
        raise
    finally:
        await answer.close(status)


async def _streamed(answer: Answer, events: Events) -> AsyncGenerator[str]:
    status = _CLOSED
    try:
        async with aclosing(answer.pieces()) as pieces, aclosing(events(answer, pieces)) as said:
            async for one in said:
                yield one
        status = 200
    except Problem as problem:
        status = problem.status
        if not problem.told:
            yield event(problem.body())
    finally:
        await answer.close(status)


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
        return Response(status_code=_CLOSED)
    finally:
        leaving.cancel()
        if not answering.done():
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
