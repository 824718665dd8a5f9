"""Connections: what comes after a request's head is no header, has an end, and keeps no connection open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from loresmith.serving.gateway.connection import FRAME_BYTES, HEAD_BYTES, connections

PATIENCE = 30
"""Seconds that a slow machine may take for what takes one."""


async def _application(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body of `/read`, and then tells the names of the headers; turns all others away before it."""
    request = Request(scope, receive)
    status = 401
    if scope["path"] == "/read":
        status = 200 if await request.body() else 204
    names = sorted(name.decode() for name, _ in scope["headers"])
    await JSONResponse(names, status, headers={"x-kept": str(len(names))})(scope, receive, send)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    settings = uvicorn.Config(
        _application,
        http=connections(1.0),
        ws="none",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=1,
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    end = time.monotonic() + PATIENCE
    while not server.started:
        assert time.monotonic() < end
        time.sleep(0.01)
    yield int(listening.getsockname()[1])
    server.should_exit = True
    thread.join()


def _head(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *fields, "", ""]).encode()


CHUNKED = "Transfer-Encoding: chunked"


def _closed(port: int, begin: bytes, drip: bytes, pause: float) -> tuple[bytes, int]:
    """What a caller hears who goes on sending until the connection is closed, and how much more it could send."""
    heard, sent, end = b"", 0, time.monotonic() + PATIENCE
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(pause)
        with contextlib.suppress(ConnectionError):
            connection.sendall(begin)
            while True:
                assert time.monotonic() < end, "the connection is still open"
                try:
                    said = connection.recv(65_536)
                except TimeoutError:
                    said = None
                if said == b"":
                    break
                heard += said or b""
                connection.sendall(drip)
                sent += len(drip)
    return heard, sent


def test_a_field_behind_the_body_is_no_header(port: int) -> None:
    begin = _head("/read", CHUNKED, "A: 1", "Connection: close") + b"1\r\nx\r\n0\r\n"
    heard, _ = _closed(port, begin + b"Authorization: Bearer x\r\nB: 2\r\n\r\n", b"", 0.2)
    assert heard.startswith(b"HTTP/1.1 200 ")
    assert heard.endswith(b'["a","connection","host","transfer-encoding"]')


@pytest.mark.parametrize("path", ["/read", "/refused"])
@pytest.mark.parametrize(
    "endless",
    [b"X: " + b"y" * 1000 + b"\r\n", b"z" * 1000, b"X:" + b" " * 500],
    ids=["many fields", "one field", "blanks"],
)
def test_what_is_no_body_has_an_end(port: int, path: str, endless: bytes) -> None:
    heard, sent = _closed(port, _head(path, CHUNKED) + b"0\r\n", endless * 10, 0.001)
    assert heard.count(b"HTTP/1.1 200 ") == 0
    assert sent < 20 * HEAD_BYTES


def test_chunks_as_small_as_can_be_are_read(port: int) -> None:
    many = 2 * HEAD_BYTES // FRAME_BYTES
    heard, _ = _closed(
        port, _head("/read", CHUNKED, "Connection: close") + b"1\r\nx\r\n" * many + b"0\r\n\r\n", b"", 0.2
    )
    assert heard.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("body", [1_000_000, 3])
def test_nobody_holds_a_connection_by_a_byte_now_and_then(port: int, body: int) -> None:
    heard, _ = _closed(port, _head("/refused", f"Content-Length: {body}"), b"\n" if body == 3 else b"x", 0.1)
    assert heard.startswith(b"HTTP/1.1 401 ")


def test_requests_follow_one_another_on_a_connection(port: int) -> None:
    large = b"x" * (4 * HEAD_BYTES)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        for body in (large, b"x", large, b""):
            connection.sendall(_head("/read", f"Content-Length: {len(body)}") + body)
            heard = b""
            while not heard.endswith(b"]") and b" 204 " not in heard:
                said = connection.recv(65_536)
                assert said
                heard += said
            assert heard.startswith(b"HTTP/1.1 20")
