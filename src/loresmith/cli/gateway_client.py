"""What the terminal chat asks of a gateway, over the standard library's HTTP alone."""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from loresmith.errors import Failure, UserError

KEY_VARIABLE = "LORESMITH_API_KEY"
"""The environment variable that holds the key; a key on a command line would be seen by everybody on the machine."""

_SECONDS = 600


def is_address(text: str) -> bool:
    """Whether a text is the address of a gateway, and no release."""
    return text.lower().startswith(("http://", "https://"))


def read_key(file: Path | None) -> str:
    """The API key: of a file, or of the environment.

    Raises:
        UserError: there is none, or the file cannot be read.
    """
    if file is None:
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if not key:
            raise UserError("an API key is needed", hint=f"set {KEY_VARIABLE}, or give a file with --key-file")
    else:
        try:
            key = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError("the key cannot be read from this file", where=str(file)) from error
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise UserError("this is no API key", where=str(file) if file else KEY_VARIABLE)
    return key


class GatewayClient:
    """A gateway, asked with one key.

    Args:
        address: such as `https://models.example.org`, with or without `/v1` behind it.

    Raises:
        UserError: it is no address.
    """

    def __init__(self, address: str, key: str) -> None:
        try:
            self._address: SplitResult = urlsplit(address)
            known = bool(self._address.hostname) and self._address.port != 0
        except ValueError:
            known = False
        if not known or self._address.username is not None:
            raise UserError("this is no address of a gateway", where=address, hint="such as https://localhost:8080")
        self._path = self._address.path.rstrip("/").removesuffix("/v1")
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    def models(self) -> list[str]:
        """The names of the models that the key may ask."""
        with closing(self._connected()) as connection:
            answer = self._asked(connection, "GET", "/v1/models")
            listed: Sequence[Mapping[str, Any]] = json.loads(_read(answer))["data"]
        return [str(model["id"]) for model in listed if not model.get("embeds")]

    def chat(self, body: Mapping[str, Any]) -> Generator[dict[str, Any]]:
        """The pieces of an answer as they come. Closing the iterator ends the answer.

        Raises:
            UserError: the gateway does not answer this.
            Failure: it cannot be reached, or broke off.
        """
        with closing(self._connected()) as connection:
            answer = self._asked(connection, "POST", "/v1/chat/completions", {**body, "stream": True})
            while line := _read_line(answer):
                data = line.removeprefix(b"data: ").strip()
                if not line.startswith(b"data: ") or data == b"[DONE]":
                    continue
                piece = json.loads(data)
                if "error" in piece:
                    raise Failure(str(piece["error"].get("message")), where=self._place)
                yield piece

    @property
    def _place(self) -> str:
        return f"{self._address.scheme}://{self._address.netloc}{self._path}"

    def _connected(self) -> http.client.HTTPConnection:
        host, port = str(self._address.hostname), self._address.port
        if self._address.scheme.lower() == "https":
            return http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=_SECONDS)

    def _asked(
        self, connection: http.client.HTTPConnection, method: str, route: str, body: Mapping[str, Any] | None = None
    ) -> http.client.HTTPResponse:
        try:
            sent = None if body is None else json.dumps(body).encode()
            connection.request(method, self._path + route, sent, self._headers)
            answer = connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            raise Failure(f"its certificate is not trusted: {error.verify_message}", where=self._place) from error
        except (OSError, http.client.HTTPException) as error:
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Failure(f"the gateway cannot be reached: {said}", where=self._place) from error
        if answer.status != 200:
            raise UserError(_problem(answer), where=self._place)
        return answer


def _problem(answer: http.client.HTTPResponse) -> str:
    """What the gateway says went wrong, in one line."""
    try:
        said = str(json.loads(_read(answer))["error"]["message"])
    except (ValueError, KeyError, TypeError):
        said = f"this is no gateway, or nothing that it knows: it answers with status {answer.status}"
    wait = answer.headers.get("retry-after")
    return " ".join(said.split()) + (f" (try again in {wait} s)" if wait else "")


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failure("the gateway broke off") from error


def _read_line(answer: http.client.HTTPResponse) -> bytes:
    """The next line; empty at the end."""
    try:
        return answer.readline()
    except (OSError, http.client.HTTPException) as error:
        raise Failure("the gateway broke off in the middle of an answer") from error
