"""One request to the server, in a thread of its own, from its first attempt to its end."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from loresmith.errors import UserError
from loresmith.serving.engines.generation import FinishReason
from loresmith.serving.engines.remote.breaker import Breaker
from loresmith.serving.engines.remote.completion import MalformedAnswer, Piece, read_piece
from loresmith.serving.engines.remote.http_client import Exchange, HttpFault, HttpStatus
from loresmith.serving.engines.remote.settings import RemoteServer

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""

REFUSED = frozenset({400, 413, 422})
"""Statuses that say that the request can never be carried out."""

BUSY = 429
"""The server is there, and has too much to do: no reason to leave it alone altogether."""

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 10.0


@dataclass(frozen=True)
class CallEnded:
    """Nothing more comes.

    Attributes:
        finish: how the answer ended, or `refused` or `failed`.
        error: why, of those two.
    """

    finish: FinishReason
    error: str | None = None


class RemoteCall:
    """A request that is under way.

    Args:
        body: see `completion_body`.
        alternatives, scored: see `read_piece`.
        take: told of every piece, and of the end; called in this call's thread.
    """

    def __init__(
        self,
        server: RemoteServer,
        breaker: Breaker,
        body: dict[str, Any],
        alternatives: int | None,
        take: Callable[[Piece | CallEnded], None],
        *,
        scored: bool = False,
    ) -> None:
        self._server = server
        self._breaker = breaker
        self._body = body
        self._alternatives = alternatives
        self._scored = scored
        self._take = take
        self._cancelled = threading.Event()
        self._exchange: Exchange | None = None
        self._thread = threading.Thread(target=self._run, name="remote call", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        """Close the connection, by which the server learns that nobody waits any more."""
        self._cancelled.set()
        if self._exchange is not None:
            self._exchange.break_off()

    def _run(self) -> None:
        ended = self._attempts()
        if not self._cancelled.is_set():
            self._take(ended)

    def _attempts(self) -> CallEnded:
        pause = _FIRST_PAUSE
        for attempt in range(1, self._server.attempts + 1):
            if not self._breaker.admit():
                return CallEnded(
                    "failed",
                    f"the server that computes this model does not answer; it is tried again "
                    f"in {self._breaker.wait:.0f} seconds",
                )
            last = attempt == self._server.attempts
            try:
                return self._attempt()
            except UserError as error:
                self._breaker.gave_up()
                return CallEnded("failed", str(error))
            except HttpStatus as status:
                if status.status in REFUSED:
                    return CallEnded("refused", status.said or f"the server refused it with status {status.status}")
                if status.status not in RETRIED or last:
                    return CallEnded("failed", f"the server that computes this model answered with status {status}")
                wait = pause if status.retry_after is None else status.retry_after
            except HttpFault as fault:
                if last or self._cancelled.is_set():
                    return CallEnded("failed", f"the server that computes this model failed: {fault}")
                wait = pause
            # Drawn, so that those who failed together do not come again together.
            if self._cancelled.wait(min(_LONGEST_PAUSE, wait) * random.uniform(1, 1.25)):
                break
            pause *= 2
        return CallEnded("failed", "it was cancelled")

    def _attempt(self) -> CallEnded:
        """One attempt. It raises only as long as nothing has come of the answer."""
        begun = False
        finish: FinishReason | None = None
        try:
            for piece in self._pieces():
                if not begun:
                    self._breaker.answered()
                begun = True
                finish = finish or piece.finish  # type: ignore[assignment]
                self._take(piece)
            ended = _ended(finish)
        except HttpStatus as status:
            if status.status >= 500:
                self._breaker.failed()
            elif status.status == BUSY:
                self._breaker.gave_up()
            else:
                self._breaker.succeeded()
            raise
        except (HttpFault, MalformedAnswer) as fault:
            if self._cancelled.is_set():
                self._breaker.gave_up()
                return CallEnded("failed", "it was cancelled")
            if finish is not None:
                return CallEnded(finish)  # only the usage was lost
            self._breaker.failed()
            if begun or isinstance(fault, MalformedAnswer):
                return CallEnded("failed", f"the server that computes this model failed: {fault}")
            raise
        self._breaker.succeeded()
        return ended

    def _pieces(self) -> Iterator[Piece]:
        self._exchange = Exchange(self._server)
        if self._cancelled.is_set():
            raise HttpFault("broken off")
        for data in self._exchange.stream("/completions", self._body):
            if data == "[DONE]":
                return
            try:
                event = json.loads(data)
            except ValueError as error:
                raise MalformedAnswer("a piece of the answer is no JSON") from error
            yield read_piece(event, self._alternatives, scored=self._scored)


def _ended(finish: FinishReason | None) -> CallEnded:
    if finish is None:
        raise HttpFault("it hung up in the middle of the answer")
    return CallEnded(finish)
