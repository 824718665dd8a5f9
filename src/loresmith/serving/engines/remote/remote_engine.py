"""The engine `openai`: a server elsewhere computes the model, and is asked for it in OpenAI's completions protocol.

Prompts are sent as token ids, so that it is this side that renders conversations. Text is made of the tokens that come
back, as for every engine; of a server that tells no token ids, its text is taken, and encoded again.
"""

from __future__ import annotations

import hmac
import queue
import secrets
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loresmith.errors import Failure, UserError
from loresmith.serving.engines.admission import require_possible
from loresmith.serving.engines.described_model import describe_model
from loresmith.serving.engines.generation import Chosen, Emission, EngineFacts, FinishReason, Generation, Sampling
from loresmith.serving.engines.remote.breaker import Breaker
from loresmith.serving.engines.remote.completion import Piece, completion_body
from loresmith.serving.engines.remote.http_client import Exchange, HttpFault, HttpStatus
from loresmith.serving.engines.remote.remote_call import CallEnded, RemoteCall
from loresmith.serving.engines.remote.settings import RemoteServer
from loresmith.serving.engines.stop_strings import StopStrings
from loresmith.serving.engines.text_stream import TextStream

HEALTH_SECONDS = 10.0
"""Between two looks at a server: one that went away is known before somebody asks for it."""

STEP_SECONDS = 0.01
"""How long a step waits for something to come."""


@dataclass
class _Request:
    """A request that was sent, or waits to be.

    Attributes:
        plain: looks for stop strings in text that comes without ids.
        written: tokens of the answer so far.
        over: how the answer ended, while the server's last words, its usage, are waited for.
    """

    generation: Generation
    text: TextStream
    plain: StopStrings
    written: int = 0
    call: RemoteCall | None = None
    ends: frozenset[int] = field(default_factory=frozenset)
    cached: int = 0
    over: FinishReason | None = None


class RemoteEngine:
    """An engine over a server.

    Args:
        directory: the model's folder, for its tokenizer.
        server: which, and how long it is waited for.
        precision: what the server computes in, as its receipt calls it.
        slots: requests that are sent at the same time.
        window: tokens of prompt and answer together; the server's own at most.
        adapters: names of adapters that the server knows.

    Raises:
        UserError: the server does not know the model, or does not take our key.
        Failure: it does not answer.
    """

    def __init__(
        self,
        directory: Path,
        server: RemoteServer,
        *,
        precision: str = "bf16",
        slots: int = 32,
        window: int = 4096,
        adapters: Sequence[str] = (),
    ) -> None:
        self._server = server
        self._model = describe_model(directory)
        self._key = secrets.token_bytes(32)
        self._breaker = Breaker(server.failures, server.pause_seconds)
        self._said: queue.Queue[tuple[str, RemoteCall | None, Piece | CallEnded]] = queue.Queue()
        self._line: deque[_Request] = deque()
        self._running: dict[str, _Request] = {}
        self._closed = threading.Event()
        self._gone = False
        served = self._served([server.model, *adapters])
        self.facts = EngineFacts(
            engine="openai",
            precision=precision,
            window=min(window, int(served.get("max_model_len") or self._model.window)),
            slots=slots,
            vocabulary_size=self._model.vocabulary_size,
            path=server.dialect,
            adapters=tuple(sorted(adapters)),
            version=self._version(),
        )
        self.facts = self.facts.model_copy(update={"path": self._path()})
        threading.Thread(target=self._look_after, name="remote health", daemon=True).start()

    @property
    def trouble(self) -> str:
        """What keeps the server from answering, as far as is known; "" where nothing does, or it may be tried again."""
        return "the server that computes it does not answer" if self._gone or self._breaker.wait > 0 else ""

    @property
    def waiting(self) -> int:
        return len(self._line)

    @property
    def running(self) -> int:
        return len(self._running)

    def add(self, generation: Generation) -> None:
        waiting = {request.generation.id for request in self._line}
        require_possible(generation, self.facts, self._running.keys() | waiting)
        self._body(generation)  # refused before it waits
        request = _Request(
            generation,
            TextStream(self._model.tokenizer, generation.stop),
            StopStrings(generation.stop),
            ends=frozenset({*self._model.ends, *generation.ends}),
        )
        self._line.append(request)
        self._send()

    def step(self) -> Sequence[Emission]:
        self._send()
        if not self._running:
            return []
        emissions = []
        for call_id, call, said in self._arrived():
            request = self._running.get(call_id)
            if request is not None and request.call is call:
                emission = self._take(request, said)
                if emission is not None:
                    emissions.append(emission)
        self._send()
        return emissions

    def cancel(self, id: str) -> None:
        request = self._running.pop(id, None)
        if request is not None and request.call is not None:
            request.call.cancel()
        self._line = deque(request for request in self._line if request.generation.id != id)

    def close(self) -> None:
        self._closed.set()
        self._line.clear()
        for id_ in list(self._running):
            self.cancel(id_)

    def _send(self) -> None:
        """Send those in line, as long as there are slots."""
        while self._line and len(self._running) < self.facts.slots:
            request = self._line.popleft()
            self._running[request.generation.id] = request
            request.call = self._call(request.generation)
            request.call.start()

    def _call(self, generation: Generation) -> RemoteCall:
        body = self._body(generation)

        def take(said: Piece | CallEnded) -> None:
            self._said.put((generation.id, call, said))

        call = RemoteCall(self._server, self._breaker, body, generation.alternatives, take, scored=generation.scored)
        return call

    def _body(self, generation: Generation) -> dict[str, Any]:
        salt = self._salt(generation.scope)
        return completion_body(generation, self._server, self.facts.window, self._model.ends, salt)

    def _salt(self, scope: str) -> str:
        """One for a scope as long as this engine lives. The server cannot tell whose, not even by trying names."""
        if not scope:
            return secrets.token_hex(16)
        return hmac.digest(self._key, scope.encode(), "sha256").hex()

    def _arrived(self) -> list[tuple[str, RemoteCall | None, Piece | CallEnded]]:
        arrived = []
        try:
            arrived.append(self._said.get(timeout=STEP_SECONDS))
            while True:
                arrived.append(self._said.get_nowait())
        except queue.Empty:
            return arrived

    def _take(self, request: _Request, said: Piece | CallEnded) -> Emission | None:
        if isinstance(said, CallEnded):
            if said.finish in ("refused", "failed") and request.over is None:
                del self._running[request.generation.id]
                return Emission(id=request.generation.id, finished=said.finish, error=said.error)
            return self._finish(request, (), "", request.over or said.finish)
        request.cached = max(request.cached, said.cached)
        if request.over is not None:
            return self._finish(request, (), "", request.over) if said.tokens or said.text else None
        if said.tokens is None:
            return self._take_text(request, said)
        tokens, text, ended = [], "", False
        for token in said.tokens:
            tokens.append(token)
            request.written += 1
            ended = token.id in request.ends and request.written > request.generation.min_new_tokens
            text += "" if ended else request.text.add(token.id)
            if request.text.stopped_by is not None:
                return self._finish(request, tuple(tokens), text, "stop")
            if ended or request.written >= request.generation.max_new_tokens:
                request.over = "stop" if ended else "length"
                break
        return Emission(id=request.generation.id, tokens=tuple(tokens), text=text) if tokens or text else None

    def _take_text(self, request: _Request, said: Piece) -> Emission | None:
        """A piece of text without ids: they are those of the text, encoded by itself."""
        text = request.plain.add(said.text)
        generation = request.generation
        tokens = self._encoded(said, generation.scored or generation.alternatives is not None)
        request.written += len(tokens)
        if request.plain.stopped_by is not None:
            return self._finish(request, tokens, text, "stop")
        return Emission(id=request.generation.id, tokens=tokens, text=text)

    def _encoded(self, said: Piece, told: bool) -> tuple[Chosen, ...]:
        tokenizer: Any = self._model.tokenizer
        if not said.spelled:
            return tuple(Chosen(id=id_) for id_ in tokenizer.encode(said.text, add_special_tokens=False))
        tokens: list[Chosen] = []
        for spelled, log_probability in said.spelled:
            ids = tokenizer.encode(spelled, add_special_tokens=False)
            # Of several tokens that were one there, each has a share of its log-probability.
            share = None if log_probability is None or not told else log_probability / max(1, len(ids))
            tokens += (Chosen(id=id_, log_probability=share) for id_ in ids)
        return tuple(tokens)

    def _finish(self, request: _Request, tokens: tuple[Chosen, ...], text: str, finish: FinishReason) -> Emission:
        """The last emission; what the server would still say is not waited for."""
        if request.call is not None:
            request.call.cancel()
        del self._running[request.generation.id]
        text += request.text.end() + request.plain.end()
        stopped_by = request.text.stopped_by or request.plain.stopped_by
        return Emission(
            id=request.generation.id,
            tokens=tokens,
            text=text,
            finished="stop" if stopped_by is not None else finish,
            stopped_by=stopped_by,
            cached_tokens=request.cached,
        )

    def _served(self, names: Sequence[str]) -> dict[str, Any]:
        """What the server says of the model."""
        try:
            listed = Exchange(self._server).get("/models")
            served = {str(model["id"]): model for model in listed["data"]}
        except HttpStatus as status:
            raise UserError(f"the server answers with status {status}", where=self._server.url) from None
        except HttpFault as fault:
            raise Failure(f"the server does not answer: {fault}", where=self._server.url) from None
        except (KeyError, TypeError) as error:
            raise UserError("the server does not list models as OpenAI's does", where=self._server.url) from error
        for name in names:
            if name not in served:
                raise UserError(
                    f"the server has no model {name!r}; it has {', '.join(sorted(served)) or 'none'}",
                    where=self._server.url,
                )
        return dict(served[names[0]])

    def _version(self) -> str:
        """What vLLM says at `/version`; "" of a server that says nothing there."""
        try:
            said = Exchange(self._server).get("/version", above=True)
            return str(said["version"])
        except (HttpStatus, HttpFault, KeyError, TypeError):
            return ""

    def _path(self) -> str:
        """Have one token written, to see whether the server answers at all, and whether it tells token ids."""
        arrived: list[Piece | CallEnded] = []
        ended = threading.Event()

        def take(said: Piece | CallEnded) -> None:
            arrived.append(said)
            if isinstance(said, CallEnded):
                ended.set()

        probe = Generation(id="probe", prompt=(0,), max_new_tokens=1, sampling=Sampling(temperature=0))
        body = completion_body(probe, self._server, self.facts.window, (), self._salt(""))
        RemoteCall(self._server, self._breaker, body, None, take).start()
        ended.wait()
        last = arrived[-1]
        if isinstance(last, CallEnded) and last.finish in ("refused", "failed"):
            hint = (
                "does it speak vLLM's dialect? Others do with `dialect: openai`" if last.finish == "refused" else None
            )
            raise UserError(f"the server does not go on from a token: {last.error}", where=self._server.url, hint=hint)
        told = all(piece.tokens is not None for piece in arrived if isinstance(piece, Piece))
        return f"{self._server.dialect}, token ids" if told else f"{self._server.dialect}, text encoded again"

    def _look_after(self) -> None:
        """Look now and then whether the server is there.

        One that is back may be asked at once. One that was there all the time and did not answer requests has to show
        that it does.
        """
        while not self._closed.wait(HEALTH_SECONDS):
            was_gone, self._gone = self._gone, not self._is_there()
            if self._gone:
                self._breaker.failed()
            elif was_gone:
                self._breaker.answered()

    def _is_there(self) -> bool:
        try:
            Exchange(self._server).get("/models")
        except HttpStatus as status:
            return status.status < 500
        except (HttpFault, UserError):  # not there, or its key or certificates are gone
            return False
        return True
