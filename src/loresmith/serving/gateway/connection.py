"""A connection to a caller: its requests begin in time, and their heads are small.

The server behind it reads heads of any size for any time, also from those whom the door has not seen yet.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 65_536
"""Of a request's first line and its headers, as they come; the door allows half of it."""

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def connections(head_seconds: float) -> type[asyncio.Protocol]:
    """The protocol of connections whose requests' heads must have come in that time."""

    class Connection(HttpToolsProtocol):
        _waiting: asyncio.TimerHandle | None = None
        _in_head = False
        _head_bytes = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait_for_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_is_there()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._in_head:
                self._head_bytes += len(data)
                if self._head_bytes > HEAD_BYTES:
                    self._turn_away(_TOO_LARGE)

        def on_message_begin(self) -> None:
            self._wait_for_head()
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._head_is_there()
            super().on_headers_complete()

        def _wait_for_head(self) -> None:
            self._head_is_there()
            self._in_head, self._head_bytes = True, 0
            self._waiting = self.loop.call_later(head_seconds, self._turn_away, _TOO_LATE)

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
