"""The door: one middleware that every request passes, whatever route it is for.

It lets through only what goes to a route that exists, from somebody who is known, with a body that is small and flat
enough to be read, and it counts what leaves. So no route can forget it, and a route that is added tomorrow is behind it
as well. The few routes that need no caller are named here.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loresmith.serving.gateway.body_route import LONG_BODY
from loresmith.serving.gateway.long_text import worked
from loresmith.serving.gateway.problem import Problem, not_found
from loresmith.serving.gateway.time_limit import TimeLimit
from loresmith.serving.identity.principal import Principal
from loresmith.serving.identity.unauthenticated import IdentityUnavailable, Unauthenticated
from loresmith.serving.settings import LimitSettings

OPEN = frozenset({"/health", "/ready"})
"""Routes that need no caller and say nothing of anybody."""

ID_PREFIX = "resp_"

ROUTE_CHARACTERS = 200
"""Of a path so many are put on the record."""

WAITED_SECONDS = 1
"""Who took longer to send a body than this is looked up again: a key may have been revoked meanwhile."""

ON_RECORD = "on_record"
"""What a request's state has of one that goes on the record, however it ends."""

Authenticate = Callable[[str | None], Awaitable[Principal]]
Rejected = Callable[[str, str, str, Problem], None]
"""Told of a request without a good credential: its id, path, the caller's address, and what it was told."""

_HEADERS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
_HEADER_BYTES = 32_768
_HEADERS_AT_MOST = 100
_BODY_METHODS = ("POST", "PUT", "PATCH")


class Door:
    """The middleware.

    Args:
        app: what is behind it.
        routes: that there are.
        open_routes: those that need no caller.
        authenticate: who asks, by the header `authorization`.
        limits: of requests.
        rejected: told of those who are not known.
        unread: told of what else is refused here, or was not answered in time before there was a record of it.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[BaseRoute],
        open_routes: frozenset[str],
        authenticate: Authenticate,
        limits: Callable[[], LimitSettings],
        rejected: Rejected,
        unread: Callable[[Problem], None],
    ) -> None:
        self._app = app
        self._routes = routes
        self._open = open_routes
        self._authenticate = authenticate
        self._limits = limits
        self._rejected = rejected
        self._unread = unread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # there are no websockets here; the server closes what nobody accepts
        response_id = ID_PREFIX + secrets.token_hex(16)
        limits = self._limits()
        tell = _Telling(send, response_id, limits.write_seconds)
        limit = TimeLimit(limits.request_seconds)
        scope.setdefault("state", {})["limit"] = limit
        try:
            async with limit:
                await self._pass(scope, receive, tell, response_id, limits)
        except TimeoutError:
            if not tell.begun:
                problem = limit.problem()
                if not scope["state"].get(ON_RECORD):
                    self._unread(problem)
                await problem.response()(scope, receive, tell)
        except Problem as problem:
            self._unread(problem)
            if not tell.begun:
                await problem.response()(scope, receive, tell)

    async def _pass(
        self, scope: Scope, receive: Receive, tell: _Telling, response_id: str, limits: LimitSettings
    ) -> None:
        headers = Headers(scope=scope)
        _require_sound_head(scope)
        _require_route(scope, self._routes)
        if scope["path"] not in self._open:
            scope["state"]["principal"] = await self._caller(scope, headers, response_id)
        scope["state"]["response_id"] = response_id
        if scope["method"] in _BODY_METHODS:
            begun = time.monotonic()
            body = await _read_body(headers, receive, limits)
            receive = _again(body, receive)
            if scope["path"] not in self._open and time.monotonic() - begun > WAITED_SECONDS:
                scope["state"]["principal"] = await self._caller(scope, headers, response_id)
        await self._app(scope, receive, tell)

    async def _caller(self, scope: Scope, headers: Headers, response_id: str) -> Principal:
        given = headers.getlist("authorization")
        client = scope.get("client")
        try:
            # Of several nobody can say which one counts: none does, as an empty one.
            return await self._authenticate(given[0] if len(given) == 1 else None)
        except Unauthenticated as error:
            problem = Problem(
                401,
                "give an API key or a token that is good here: `Authorization: Bearer ...`",
                code="invalid_api_key",
                reason=error.reason,
            )
            self._rejected(response_id, route_of(scope), client[0] if client else "", problem)
            raise problem from None
        except IdentityUnavailable:
            raise Problem(503, "callers cannot be checked just now", code="unavailable", retry_after=2) from None


class _Telling:
    """Sends what is answered, with the headers that every answer has; gives up on who does not read.

    Attributes:
        begun: whether something has left.
    """

    def __init__(self, send: Send, response_id: str, write_seconds: float) -> None:
        self._send = send
        self._id = response_id
        self._write_seconds = write_seconds
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        try:
            async with asyncio.timeout(self._write_seconds):
                await self._send(message)
        except TimeoutError:
            raise ConnectionError("the caller does not read") from None


def _require_sound_head(scope: Scope) -> None:
    headers = scope["headers"]
    size = sum(len(name) + len(value) for name, value in headers) + len(scope["raw_path"]) + len(scope["query_string"])
    if size > _HEADER_BYTES or len(headers) > _HEADERS_AT_MOST:
        raise Problem(431, "a request's headers are smaller than this", code="headers_too_large")
    if sum(name == b"host" for name, _ in headers) > 1 or not (
        scope["http_version"] == "1.0" or any(name == b"host" for name, _ in headers)
    ):
        raise Problem(400, "a request names its host once", code="bad_request")


def _require_route(scope: Scope, routes: Sequence[BaseRoute]) -> None:
    partial = False
    for route in routes:
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return
        partial = partial or match is Match.PARTIAL
    if partial:
        raise Problem(405, f"{scope['method']} is not possible here", code="method_not_allowed")
    raise not_found()


async def _read_body(headers: Headers, receive: Receive, limits: LimitSettings) -> bytes:
    """All of a request's body.

    Raises:
        Problem: it is too large, too slow, too deep, or not what it says it is.
    """
    if "content-length" in headers and "transfer-encoding" in headers:
        raise Problem(400, "a body has a length or comes in chunks, not both", code="bad_request")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    declared = headers.get("content-length", "0")
    if not declared.isascii() or not declared.isdigit():
        raise Problem(400, "content-length is no number", code="bad_request")
    if int(declared) > limits.request_bytes:
        raise _too_large(limits)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "the request broke off", code="bad_request")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limits.request_bytes:
                    raise _too_large(limits)
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise Problem(408, "the request did not come in time", code="timeout") from None
    body = b"".join(parts)
    if body and kind != "application/json":
        raise Problem(415, "send JSON: `Content-Type: application/json`", code="unsupported_media_type")
    await worked(len(body) > LONG_BODY, _require_sound_body, body, limits)
    return body


def _require_sound_body(body: bytes, limits: LimitSettings) -> None:
    """Refuse what would take long to read, before it is read."""
    if len(body) > limits.values and _values(body) > limits.values:
        raise Problem(400, f"the JSON has more than {limits.values} values", code="too_many_values")
    if _depth(body) > limits.depth:
        raise Problem(400, f"the JSON is nested deeper than {limits.depth}", code="too_deep")
    if _has_no_number(body):
        raise Problem(400, "a number of the body is none in JSON (NaN), or too large", code="invalid_request")
    if not _is_unicode(body):
        raise Problem(400, "the body is no text in UTF-8", code="invalid_request")


def _too_large(limits: LimitSettings) -> Problem:
    return Problem(413, f"a request may have {limits.request_bytes} bytes", code="request_too_large")


def _is_unicode(body: bytes) -> bool:
    """Whether all of a body is text, also what it says in escapes: half a letter (a lone surrogate) is none."""
    try:
        body.decode()
        if _SURROGATE.search(body):
            json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeError:
        return False
    except (ValueError, RecursionError):
        return True  # that it is no JSON is told elsewhere
    return True


def _has_no_number(body: bytes) -> bool:
    """Whether something stands for a number and is none that can be told again: NaN, Infinity, 1e999."""
    if not _STRANGE_NUMBER.search(body) or not (strange := _STRANGE_NUMBER.findall(_STRING.sub(b"", body))):
        return False
    return any(math.isinf(float(found)) or math.isnan(float(found)) for found in strange)


def _values(body: bytes) -> int:
    """How many values there are at least, those in which others lie among them."""
    outside = _STRING.sub(b"", body)
    return sum(outside.count(mark) for mark in (b",", b"[", b"{"))


def _depth(body: bytes) -> int:
    """How deep brackets are nested outside of strings; what is no JSON has some depth too."""
    if body.count(b"[") + body.count(b"{") < 4:
        return 3
    depth = deepest = 0
    for byte in _STRING.sub(b"", body).translate(None, _NO_BRACKETS):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


_STRANGE_NUMBER = re.compile(
    rb"NaN|Infinity|(?<![\d.])(?:\d++(?:\.\d++)?+[eE]\+?\d{3,}+|\d{200,}+(?:\.\d++)?+(?:[eE]\+?\d++)?+)"
)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once, and then what comes next."""
    given = False

    async def again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again


def principal_of(scope: Any) -> Principal:
    """Who asks, in a route behind the door."""
    principal = scope["state"]["principal"]
    assert isinstance(principal, Principal)
    return principal


def route_of(scope: Any) -> str:
    """The path of a request, as it is put on the record."""
    path: str = scope["path"]
    return path if len(path) <= ROUTE_CHARACTERS else f"{path[:ROUTE_CHARACTERS]}…"


def limit_of(scope: Any) -> TimeLimit:
    """The time that a request has, in a route behind the door."""
    limit = scope["state"]["limit"]
    assert isinstance(limit, TimeLimit)
    return limit
