"""A connection to a caller: its requests begin in time, and their heads are small and all that counts as one.

The server behind it reads heads of any size for any time, also from those whom the door has not seen yet. It takes
fields behind a body (trailers) for headers, keeps them without end, and lets a connection live for ever whose caller
sends something now and then after the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 65_536
"""Of a request's first line and its headers, as they come; the door allows half of it."""

FRAME_BYTES = 16
"""Of what is no body behind the head, for each byte that is: what a chunk of one byte has, and more."""

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def connections(head_seconds: float) -> type[asyncio.Protocol]:
    """The protocol of connections whose requests' heads must have come in that time."""

    class Connection(HttpToolsProtocol):
        _waiting: asyncio.TimerHandle | None = None
        _in_head = False
        _had_head = False  # of what arrived last, something
        _head_bytes = 0
        _body_bytes = 0
        _other_bytes = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait_for_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_is_there()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._had_head, body_bytes = self._in_head, self._body_bytes
            super().data_received(data)
            if self._in_head:
                self._head_bytes += len(data)
            elif not self._had_head:
                self._other_bytes += len(data) - (self._body_bytes - body_bytes)
            if self._head_bytes > HEAD_BYTES or self._other_bytes > HEAD_BYTES + FRAME_BYTES * self._body_bytes:
                self._turn_away(_TOO_LARGE)

        def on_message_begin(self) -> None:
            self._wait_for_head()
            self._had_head, self._body_bytes, self._other_bytes = True, 0, 0
            super().on_message_begin()

        def on_header(self, name: bytes, value: bytes) -> None:
            if self._in_head:  # a trailer is none: whoever stands before us has not looked at it
                super().on_header(name, value)

        def on_headers_complete(self) -> None:
            self._head_is_there()
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._body_bytes += len(body)
            super().on_body(body)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.timeout_keep_alive_task is not None and not self._in_head:
                # The server's own watch ends with the next byte, also of a body that nobody wants any more.
                self._wait(self.timeout_keep_alive, self.timeout_keep_alive_handler)

        def _wait_for_head(self) -> None:
            self._wait(head_seconds, self._turn_away, _TOO_LATE)
            self._in_head, self._head_bytes = True, 0

        def _wait(self, seconds: float, then: Callable[..., None], *given: bytes) -> None:
            self._head_is_there()
            self._waiting = self.loop.call_later(seconds, then, *given)

        def _head_is_there(self) -> None:
            self._in_head = False
            if self._waiting is not None:
                self._waiting.cancel()

        def _turn_away(self, answer: bytes) -> None:
            """Say so if no answer is under way, and close the connection."""
            self._head_is_there()
            if not self.transport.is_closing():
                if self.cycle is None or self.cycle.response_complete:
                    self.transport.write(answer)
                self.transport.close()

    return Connection
