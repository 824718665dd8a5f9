"""A hub on this machine: the few addresses that huggingface_hub asks for one model, over HTTP."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

NAME = "acme/base"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves the files of one folder as `acme/base`, whose branch `main` is `COMMIT`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.folder = folder
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(folder: Path) -> Iterator[Hub]:
    hub = Hub(folder)
    thread = Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Asked(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        names = sorted(file.name for file in self.server.folder.iterdir())
        if path in (f"/api/models/{NAME}/revision/{revision}" for revision in ("main", COMMIT)):
            self._send(json.dumps({"id": NAME, "sha": COMMIT, "siblings": [{"rfilename": n} for n in names]}), body)
        elif path == f"/api/models/{NAME}/tree/{COMMIT}":
            files = [(name, (self.server.folder / name).read_bytes()) for name in names]
            self._send(
                json.dumps(
                    [
                        {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                        for name, data in files
                    ]
                ),
                body,
            )
        elif path.startswith(f"/{NAME}/resolve/{COMMIT}/"):
            self._send((self.server.folder / path.rpartition("/")[2]).read_bytes(), body)
        else:
            reason = "RevisionNotFound" if NAME in path else "RepoNotFound"
            self._send("{}", body, 404, {"X-Error-Code": reason})

    def _send(self, content: str | bytes, body: bool, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        kind = "application/json" if isinstance(content, str) else "application/octet-stream"
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(data)),
            "ETag": f'"{hashlib.sha1(data).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)
