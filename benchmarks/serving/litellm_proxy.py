"""The LiteLLM proxy before a server that answers at once, beside our gateway with an engine that does.

Both are asked flat out for the same chat, in turns. What counts is requests a second and core: requests by the seconds
of CPU that the proxy's process, or the gateway's with its engine, took for them. The proxy checks its master key and
keeps no record; the gateway has policy, guards, quotas and audit on.

The proxy's requirements are not ours, so it lives in an environment of its own, which `environment` makes.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.serving.load import flat_out, request_bytes
from benchmarks.serving.overhead import BODY, address_of, prepare, started

REQUIREMENT = "litellm[proxy]==1.106.2"

KEY = "sk-benchmark"
START_SECONDS = 180


def environment(folder: Path) -> Path:
    """The Python of a new environment with the proxy, in `folder`.

    Raises:
        subprocess.CalledProcessError: it cannot be made, as where there is no package index.
    """
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", REQUIREMENT]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return python


def compare(python: Path, seconds: float, rounds: int) -> dict[str, Any]:
    """Requests a second and core of both.

    Args:
        python: the interpreter of the proxy's environment.
    """
    with tempfile.TemporaryDirectory(prefix="proxies-") as name:
        folder = Path(name)
        key = prepare(folder)
        gateway, bare = started("gateway", name), started("bare")
        ports = {"gateway": _port(address_of(gateway))}
        proxy = _started_proxy(python, folder, address_of(bare))
        ports["litellm"] = proxy[1]
        processes = {"gateway": gateway.pid, "litellm": proxy[0].pid}
        requests = {
            "gateway": request_bytes("127.0.0.1", "/v1/chat/completions", BODY, key),
            "litellm": request_bytes("127.0.0.1", "/v1/chat/completions", BODY, KEY),
        }
        rates: dict[str, list[float]] = {"gateway": [], "litellm": []}
        try:
            for turn in range(rounds + 1):
                for which, port in ports.items():
                    before = _cpu_seconds(processes[which])
                    run = asyncio.run(flat_out("127.0.0.1", port, requests[which], seconds))
                    spent = _cpu_seconds(processes[which]) - before
                    assert not run.failures, f"{run.failures} requests of {which} failed"
                    if turn:
                        rates[which].append(len(run.seconds) / spent)
        finally:
            for process in (gateway, bare, proxy[0]):
                process.terminate()
                process.wait()
    found = {which: median(measured) for which, measured in rates.items()}
    return {
        "gateway_requests_s_core": found["gateway"],
        "litellm_requests_s_core": found["litellm"],
        "requests_s_vs_litellm": found["gateway"] / found["litellm"],
    }


def _started_proxy(python: Path, folder: Path, backend: str) -> tuple[subprocess.Popen[bytes], int]:
    model = {"model": "openai/acme", "api_base": f"{backend}/v1", "api_key": "none"}
    config = {
        "model_list": [{"model_name": "acme", "litellm_params": model}],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"telemetry": False},
    }
    file = folder / "litellm.yaml"
    file.write_text(json.dumps(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    quiet = {"LITELLM_TELEMETRY": "False", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    process = subprocess.Popen(
        [python.parent / "litellm", "--config", file, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"],
        env={**os.environ, **quiet},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=2):
                return process, port
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    process.kill()
    raise SystemExit("the LiteLLM proxy did not start")


def _cpu_seconds(pid: int) -> float:
    process = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
