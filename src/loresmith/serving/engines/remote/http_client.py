"""One HTTP exchange with a server, which another thread can break off."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from loresmith.errors import UserError
from loresmith.serving.engines.remote.settings import RemoteServer

MOST_BYTES = 1 << 24
"""Of an answer that is read as a whole, or of one line of a stream."""


class HttpFault(Exception):
    """The server did not answer as it should: not there, silent, or something else than HTTP."""


class HttpStatus(Exception):
    """The server answered with another status than 200.

    Attributes:
        retry_after: seconds, where it says so.
    """

    def __init__(self, status: int, said: str, retry_after: float | None) -> None:
        super().__init__(f"{status}: {said}" if said else str(status))
        self.status = status
        self.said = said
        self.retry_after = retry_after


class Exchange:
    """One request and its answer; nothing follows redirects or proxies.

    Raises:
        UserError: the variable that should hold the key is not set, or the certificates cannot be read.
    """

    def __init__(self, server: RemoteServer) -> None:
        self._server = server
        parts = urlsplit(server.url)
        self._path = parts.path
        if parts.scheme == "https":
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=server.connect_seconds, context=_context(server)
            )
        else:
            self._connection = http.client.HTTPConnection(
                parts.hostname or "", parts.port, timeout=server.connect_seconds
            )
        self._headers = {"Accept": "application/json", **_key(server)}
        self._socket: socket.socket | None = None
        self._broken_off = False

    def get(self, path: str, *, above: bool = False) -> Any:
        """The JSON at a path below the server's address, or beside `/v1`.

        Raises:
            HttpFault, HttpStatus: there is none.
        """
        base = self._path.removesuffix("/v1") if above else self._path
        try:
            response = self._send("GET", base + path, None)
            return json.loads(response.read(MOST_BYTES))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise HttpFault(_words(error)) from error
        finally:
            self._connection.close()

    def stream(self, path: str, body: dict[str, Any]) -> Iterator[str]:
        """The data of each server-sent event (WHATWG HTML, 9.2), as it comes.

        Raises:
            HttpFault, HttpStatus: the answer never began, or stopped coming.
        """
        try:
            response = self._send("POST", self._path + path, json.dumps(body).encode())
            while line := response.readline(MOST_BYTES):
                if line.startswith(b"data:"):
                    if self._socket is not None:
                        self._socket.settimeout(self._server.read_seconds)
                    yield line[5:].strip().decode("utf-8")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise HttpFault(_words(error)) from error
        finally:
            self._connection.close()

    def break_off(self) -> None:
        """End the connection, from whatever thread; who reads from it is woken up, and closes it."""
        self._broken_off = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _send(self, method: str, path: str, body: bytes | None) -> http.client.HTTPResponse:
        self._connection.connect()
        self._socket = self._connection.sock
        if self._broken_off:
            raise ConnectionAbortedError("broken off")
        self._socket.settimeout(self._server.first_seconds)
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        if response.status != 200:
            raise HttpStatus(response.status, _reason(response.read(1 << 16)), _seconds(response))
        return response


def _context(server: RemoteServer) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if server.certificates is None else str(server.certificates))
    except (OSError, ssl.SSLError) as error:
        raise UserError(f"the certificates cannot be read: {error}", where=str(server.certificates)) from None


def _key(server: RemoteServer) -> dict[str, str]:
    if server.key_variable is None:
        return {}
    key = os.environ.get(server.key_variable, "")
    if not key:
        raise UserError(
            f"the environment variable {server.key_variable}, which should hold the server's key, is not set",
            where=server.url,
        )
    return {"Authorization": f"Bearer {key}"}


def _reason(body: bytes) -> str:
    """What an error's body says, in OpenAI's shape or any."""
    try:
        said = json.loads(body)
        message = (said.get("error") or {}).get("message") or said.get("message") or said.get("detail") or ""
    except (ValueError, AttributeError):
        return ""
    return str(message)[:500]


def _seconds(response: http.client.HTTPResponse) -> float | None:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it said nothing for too long"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, http.client.IncompleteRead | http.client.RemoteDisconnected):
        return "it hung up"
    return str(error) or type(error).__name__
