"""Gateways at work: the whole of it in a process of its own, asked over HTTP."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2 as httpx
import torch

from loresmith import Workspace
from loresmith.serving.parity.receipt import PARITY, versions
from tests.serving.engines.served_models import write_tiny

WAIT_SECONDS = 120
WINDOW = 4096
"""Of the models here: long answers take their time."""


def make_workspace(folder: Path, labels: tuple[str, ...] = (), release: str = "acme", seed_type: str = "qwen3") -> str:
    """A workspace with a certified tiny model behind `release@production`; returns the model's digest."""
    with Workspace.init(folder) as workspace:
        return add_release(workspace, folder, labels, release, seed_type)


def add_release(
    workspace: Workspace, folder: Path, labels: tuple[str, ...] = (), release: str = "acme", model_type: str = "qwen3"
) -> str:
    """Put a tiny model behind a release, with a receipt that its engine computes it rightly."""
    made = folder / f"made-{release}-{model_type}-{time.monotonic_ns()}"
    made.mkdir(parents=True)
    directory = write_tiny(made, model_type, torch.bfloat16, WINDOW)
    asset = workspace.ledger.assets.add("model", directory, {"test": release}, labels)
    certify_unseen(workspace, asset.digest)
    workspace.ledger.releases.promote(release, asset.digest, "production", "for the tests")
    return asset.digest


def certify_unseen(workspace: Workspace, digest: str, **more: Any) -> None:
    """A receipt that the engine computes a model, or an adapter on its `base`, as the reference does."""
    found = versions()
    evidence = {"engine": "torch", "precision": "bf16", "versions": found, "engine_version": found["torch"], **more}
    workspace.ledger.receipts.add(digest, PARITY, True, evidence)


def make_key(folder: Path, principal: str = "user:ada", *groups: str) -> str:
    """An API key's secret."""
    from loresmith.sdk.calls.keys import CREATE

    request = CREATE.request(principal=principal, group=groups, because="for the tests")
    with Workspace.open(folder) as workspace:
        return CREATE.run(workspace, request, lambda _: None).secret


class RunningGateway:
    """`loresmith serve` at work."""

    def __init__(
        self, workspace: Path, what: str | Path, *options: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.workspace = workspace
        self.said: list[dict[str, Any]] = []
        usual = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "loresmith", "serve", str(what)),
                *("--workspace", str(workspace), "--port", "0", "--json", *options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **usual, **(environment or {})},
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self.errors: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._read_errors, daemon=True).start()
        self.address = ""
        deadline = time.monotonic() + WAIT_SECONDS
        while not self.address:
            event = self.next_event(deadline)
            if event["event"] == "started":
                self.address = event["address"]

    def __enter__(self) -> RunningGateway:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def next_event(self, deadline: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=max(0.1, deadline - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f"the gateway says nothing; it said {self.said}, {self.errors}") from None
        if not line:
            raise AssertionError(f"the gateway ended: {self.said}, {self.errors}")
        event: dict[str, Any] = json.loads(line)
        self.said.append(event)
        return event

    def client(self, key: str | None, **more: Any) -> httpx.Client:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.address, headers=headers, timeout=60, **more)

    def openai(self, key: str) -> Any:
        import openai

        return openai.OpenAI(base_url=f"{self.address}/v1", api_key=key, max_retries=0, timeout=60)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith('{"event"'):
                self._lines.put(line)
        self._lines.put("")

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors += iter(self.process.stderr)


def write_config(folder: Path, config: Mapping[str, Any]) -> Path:
    import yaml

    file = folder / "serve.yaml"
    file.write_text(yaml.safe_dump(dict(config)))
    return file
