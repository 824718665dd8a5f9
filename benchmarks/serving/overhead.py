"""What the gateway adds to an engine that answers at once: policy, guards, quotas and audit on.

The same client asks a bare server of the same kind (uvicorn and Starlette, one route that returns the same answer) in
turn with the gateway; what the gateway adds is the difference.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.serving.load import Loaded, flat_out, request_bytes, steady

BODY = {
    "model": "acme",
    "messages": [
        {"role": "system", "content": "You answer from the manual."},
        {"role": "user", "content": "Where is the oil filter? " * 8},
    ],
    "max_tokens": 64,
}

CONFIG = """\
models:
  acme: {release: acme}
standby: false
groups:
  workshop: {members: ["user:ada"], labels: []}
quotas:
  each_caller: {requests_per_minute: 1000000, tokens_per_minute: 1000000000}
  running: 1000
  waiting: 1000
guards:
  - {kind: privacy, on: [input, output], action: redact}
  - {kind: secrets, on: [input, output], action: refuse}
"""


def serve_gateway(folder: Path) -> None:
    """The gateway's process."""
    from loresmith.cli.main import main
    from loresmith.serving.engines import starting

    starting.FACTORIES["torch"] = "benchmarks.serving.instant_engine:start"  # type: ignore[index]
    sys.argv = ["loresmith", "serve", str(folder / "serve.yaml"), "--workspace", str(folder), "--port", "0", "--json"]
    sys.exit(main())


def serve_bare() -> None:
    """The bare server's process."""
    import socket

    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from benchmarks.serving.instant_engine import TEXT

    async def answer(request: Request) -> JSONResponse:
        asked = await request.json()
        message = {"role": "assistant", "content": TEXT}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 60, "completion_tokens": 16, "total_tokens": 76}
        said = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": asked["model"]}
        return JSONResponse({**said, "choices": [choice], "usage": usage})

    app = Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.bind(("127.0.0.1", 0))
    bound.listen(2048)
    print(json.dumps({"event": "started", "address": f"http://127.0.0.1:{bound.getsockname()[1]}"}), flush=True)
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, http="httptools", loop="uvloop", lifespan="off")
    )
    server.run(sockets=[bound])


def measure(seconds: float, rounds: int, rate: float = 200.0) -> dict[str, Any]:
    """Milliseconds at a steady rate, and requests a second flat out, of the gateway and of the bare server."""
    with tempfile.TemporaryDirectory(prefix="overhead-") as name:
        folder = Path(name)
        key = prepare(folder)
        processes = [started("gateway", name), started("bare")]
        try:
            ports = [int(address.rpartition(":")[2]) for address in map(address_of, processes)]
            request = request_bytes("127.0.0.1", "/v1/chat/completions", BODY, key)
            at_rate: list[list[Loaded]] = [[], []]
            for port in ports:
                asyncio.run(steady("127.0.0.1", port, request, rate, 2))
            for _ in range(rounds):
                for which, port in enumerate(ports):
                    at_rate[which].append(asyncio.run(steady("127.0.0.1", port, request, rate, seconds)))
            fastest = [asyncio.run(flat_out("127.0.0.1", port, request, seconds)) for port in ports]
        finally:
            for process in processes:
                process.terminate()
                process.wait()
    gateway, bare = ([_median(runs, share) * 1000 for share in (0.5, 0.99)] for runs in at_rate)
    return {
        "gateway_ms_p50": gateway[0],
        "gateway_ms_p99": gateway[1],
        "bare_ms_p50": bare[0],
        "bare_ms_p99": bare[1],
        "gateway_overhead_ms_p50": gateway[0] - bare[0],
        "gateway_overhead_ms_p99": gateway[1] - bare[1],
        "gateway_requests_s": fastest[0].rate,
        "bare_requests_s": fastest[1].rate,
        "failures": sum(run.failures for runs in at_rate for run in runs) + sum(run.failures for run in fastest),
    }


def prepare(folder: Path) -> str:
    """A workspace with a release that the instant engine stands in for; returns a caller's key."""
    from loresmith import Workspace
    from loresmith.sdk.calls.keys import CREATE
    from tests.serving.gateway.gateways import make_workspace

    make_workspace(folder)
    (folder / "serve.yaml").write_text(CONFIG)
    with Workspace.open(folder) as workspace:
        request = CREATE.request(principal="user:ada", because="the benchmark")
        return CREATE.run(workspace, request, lambda _: None).secret


def _median(runs: list[Loaded], share: float) -> float:
    found = sorted(run.percentile(share) for run in runs)
    return found[len(found) // 2]


def started(role: str, *arguments: str) -> subprocess.Popen[str]:
    """One of the servers, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.serving.overhead", role, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def address_of(process: subprocess.Popen[str]) -> str:
    """Where a server that was started can be reached."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith('{"event": "started"'):
            address: str = json.loads(line)["address"]
            return address
    raise SystemExit("a server did not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", nargs="?", choices=["gateway", "bare"])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.role == "gateway":
        serve_gateway(given.folder)
    elif given.role == "bare":
        serve_bare()
    begun = time.perf_counter()
    found = measure(given.seconds, given.rounds)
    found["seconds"] = time.perf_counter() - begun
    if given.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:28} {value:10.2f}")


if __name__ == "__main__":
    main()
