"""A server of OpenAI's completions protocol, in vLLM's dialect or without token ids, over an engine of ours.

It can be told to misbehave.
"""

from __future__ import annotations

import json
import queue
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from loresmith.serving.engines.engine import Engine
from loresmith.serving.engines.generation import Emission, Generation, JsonSchema, Regex, Sampling

MODEL = "tiny"


class CompletionServer:
    """The server, and what it saw.

    Attributes:
        statuses: that the next requests are answered with; a (status, headers) each.
        pieces: after so many it hangs up in the middle of answers; None: it does not.
        stalls: after so many it says nothing more, and keeps the connection; None: it does not.
        hangs: whether it says nothing to requests for answers.
        broken: whether it answers everything with status 500.
        looks: how often it was asked for anything but answers.
        tells_ids: whether it tells token ids, as vLLM does.
        bodies: of all requests so far.
        cancelled: ids of requests whose clients went away.
    """

    def __init__(self, engine: Engine, tokenizer: Any, key: str = "") -> None:
        self.statuses: list[tuple[int, dict[str, str]]] = []
        self.pieces: int | None = None
        self.stalls: int | None = None
        self.hangs = False
        self.broken = False
        self.looks = 0
        self.tells_ids = True
        self.bodies: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.engine = engine
        self.tokenizer = tokenizer
        self.key = key
        self._todo: queue.Queue[tuple[Generation | None, Any]] = queue.Queue()
        self._waiting: dict[str, queue.Queue[Emission]] = {}
        self._stopped = threading.Event()
        self.stop_hanging = threading.Event()
        threading.Thread(target=self._work, daemon=True).start()

    def answer(self, generation: Generation) -> Iterator[Emission]:
        said: queue.Queue[Emission] = queue.Queue()
        self._todo.put((generation, said))
        while True:
            emission = said.get(timeout=30)
            yield emission
            if emission.finished is not None:
                return

    def cancel(self, id_: str) -> None:
        self._todo.put((None, id_))

    def close(self) -> None:
        self._stopped.set()
        self.stop_hanging.set()

    def _work(self) -> None:
        while not self._stopped.is_set():
            while not self._todo.empty() or not (self.engine.running or self.engine.waiting):
                try:
                    generation, said = self._todo.get(timeout=0.05)
                except queue.Empty:
                    if self._stopped.is_set():
                        return
                    continue
                if generation is None:
                    self.engine.cancel(said)
                    self.cancelled.append(said)
                else:
                    self._waiting[generation.id] = said
                    self.engine.add(generation)
            for emission in self.engine.step():
                self._waiting[emission.id].put(emission)


def _handler(server: CompletionServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.looks += 1
            if not self._is_let_in():
                return
            if self.path == "/version":
                self._json(200, {"version": "0.32.1"})
            elif self.path == "/v1/models":
                self._json(200, {"object": "list", "data": [{"id": MODEL, "max_model_len": 300}]})
            else:
                self._json(404, {"error": {"message": "no such route"}})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.bodies.append(body)
            if not self._is_let_in():
                return
            if server.hangs:
                server.stop_hanging.wait(30)
                self.close_connection = True
                return
            id_ = f"request {len(server.bodies)} {time.monotonic_ns()}"
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                self._stream(id_, body)
            except OSError:
                server.cancel(id_)
                self.close_connection = True

        def _is_let_in(self) -> bool:
            if server.key and self.headers["Authorization"] != f"Bearer {server.key}":
                self._json(401, {"error": {"message": "who are you?"}})
                return False
            if server.broken:
                self._json(500, {"error": {"message": "out of order"}})
                return False
            if server.statuses:
                status, headers = server.statuses.pop(0)
                self._json(status, {"error": {"message": "not now"}}, headers)
                return False
            return True

        def _stream(self, id_: str, body: dict[str, Any]) -> None:
            written = 0
            for number, emission in enumerate(server.answer(_generation(id_, body))):
                if server.pieces is not None and number == server.pieces:
                    server.cancel(id_)
                    self.close_connection = True
                    return
                if server.stalls is not None and number == server.stalls:
                    server.cancel(id_)
                    server.stop_hanging.wait(30)
                    self.close_connection = True
                    return
                written += len(emission.tokens)
                choice: dict[str, Any] = {"text": emission.text, "finish_reason": emission.finished}
                values = [token.log_probability for token in emission.tokens]
                if server.tells_ids:
                    choice["token_ids"] = [token.id for token in emission.tokens]
                    choice["logprobs"] = {
                        "tokens": [f"token_id:{token.id}" for token in emission.tokens],
                        "token_logprobs": values,
                        "top_logprobs": [
                            {f"token_id:{at}": value for at, value in token.alternatives} for token in emission.tokens
                        ],
                    }
                else:
                    names = server.tokenizer.convert_ids_to_tokens([token.id for token in emission.tokens])
                    texts = [server.tokenizer.convert_tokens_to_string([name]) for name in names]
                    choice["logprobs"] = {"tokens": texts, "token_logprobs": values}
                self._event({"choices": [choice]})
            details = {"prompt_tokens_details": {"cached_tokens": 7}}
            self._event({"choices": [], "usage": {"completion_tokens": written, **details}})
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")

        def _event(self, event: dict[str, Any]) -> None:
            self._chunk(b"data: " + json.dumps(event).encode() + b"\n\n")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

        def _json(self, status: int, said: dict[str, Any], headers: dict[str, str] | None = None) -> None:
            data = json.dumps(said).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_args: Any) -> None:
            pass

    return Handler


def _generation(id_: str, body: dict[str, Any]) -> Generation:
    form = body.get("structured_outputs", {})
    constraint = (
        JsonSchema(value=form["json"]) if "json" in form else Regex(value=form["regex"]) if "regex" in form else None
    )
    return Generation(
        id=id_,
        prompt=tuple(body["prompt"]),
        max_new_tokens=body["max_tokens"],
        min_new_tokens=body.get("min_tokens", 0),
        sampling=Sampling(
            temperature=body["temperature"],
            top_p=body["top_p"],
            top_k=max(0, body.get("top_k", 0)),
            min_p=body.get("min_p", 0),
            repetition_penalty=body.get("repetition_penalty", 1),
            presence_penalty=body["presence_penalty"],
            frequency_penalty=body["frequency_penalty"],
            logit_bias={int(token): bias for token, bias in body.get("logit_bias", {}).items()},
            seed=body["seed"],
        ),
        ends=tuple(body.get("stop_token_ids", ())),
        constraint=constraint,
        alternatives=body["logprobs"],
    )


@contextmanager
def serving(engine: Engine, tokenizer: Any, key: str = "", certificate: Path | None = None) -> Iterator[Any]:
    """A server at a free port; gives it and its address."""
    completion = CompletionServer(engine, tokenizer, key)
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(completion))
    http.daemon_threads = True
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        http.socket = context.wrap_socket(http.socket, server_side=True)
        scheme = "https"
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield completion, f"{scheme}://localhost:{http.server_port}/v1"
    finally:
        completion.close()
        http.shutdown()
        http.server_close()
