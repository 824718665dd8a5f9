"""A gateway whose model a server elsewhere computes: what callers see while that server is well, and is not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from loresmith import Workspace
from loresmith.models.storage import load_tokenizer
from loresmith.serving.engines.embedded.torch_engine import TorchEngine
from loresmith.serving.parity.receipt import computed_by
from tests.serving.engines.completion_server import MODEL, CompletionServer, serving
from tests.serving.gateway.gateways import RunningGateway, certify_unseen, make_key, make_workspace, write_config
from tests.serving.gateway.house import chat, wait_until

GONE = "engines in trouble: 1"


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, CompletionServer, str]]:
    folder = tmp_path_factory.mktemp("far")
    digest = make_workspace(folder)
    with Workspace.open(folder) as workspace:
        directory = workspace.ledger.assets.directory(digest)
    with serving(TorchEngine(directory, slots=4, window=300), load_tokenizer(directory)) as (server, url):
        waits = {"first_seconds": 1, "read_seconds": 1, "pause_seconds": 4}
        where = {"url": url, "model": MODEL, "attempts": 1, "failures": 1, **waits}
        with Workspace.open(folder) as workspace:
            facts = {"engine": "openai", "engine_version": "0.32.1", "computed_by": computed_by("openai", where)}
            certify_unseen(workspace, digest, **facts)
        model = {"release": "acme", "engine": "openai", "remote": where, "slots": 1, "window": 256, "threads": 1}
        config = write_config(folder, {"models": {"acme": model}, "standby": False})
        key = make_key(folder)
        with RunningGateway(folder, config) as gateway:
            yield gateway, server, key


def ready(client: Any) -> tuple[int, list[str]]:
    said = client.get("/ready")
    return said.status_code, said.json()["problems"]


@pytest.mark.slow
def test_a_server_that_hangs_is_told_of_and_comes_back(far: tuple[RunningGateway, CompletionServer, str]) -> None:
    gateway, server, key = far
    client = gateway.openai(key)
    asked = {"model": "acme", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "seed": 1}
    answer = client.chat.completions.create(**asked)
    assert len(server.bodies[-1]["prompt"]) == answer.usage.prompt_tokens  # rendered here
    with gateway.client(key) as plain:
        assert ready(plain) == (200, [])
        server.hangs = True
        said = plain.post("/v1/chat/completions", json=chat())
        assert (said.status_code, said.json()["error"]["code"]) == (503, "engine_unavailable")
        assert int(said.headers["retry-after"]) >= 1
        wait_until(lambda: ready(plain) == (503, [GONE]), 3)
        tried, begun = len(server.bodies), time.monotonic()
        with pytest.raises(openai.InternalServerError, match="does not answer; it is tried again in"):
            client.chat.completions.create(**asked)
        assert (len(server.bodies), time.monotonic() - begun < 1) == (tried, True)

        server.hangs = False
        server.stop_hanging.set()
        wait_until(lambda: ready(plain) == (200, []), 10)
        again = client.chat.completions.create(**asked)
    assert again.choices[0].message.content == answer.choices[0].message.content


@pytest.mark.slow
def test_a_server_that_stalls_in_a_stream_is_told_of_in_it(far: tuple[RunningGateway, CompletionServer, str]) -> None:
    """What came is there, then an error; the one slot is free for the next, and the server counts as gone."""
    gateway, server, key = far
    endless = chat(max_tokens=200, logit_bias={"0": -100, "2": -100}, temperature=0, stream=True)
    server.stop_hanging.clear()
    with gateway.client(key) as plain:
        wait_until(lambda: ready(plain) == (200, []), 10)
        server.stalls = 40
        lines = plain.post("/v1/chat/completions", json=endless).text.splitlines()
        events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
        *pieces, last = events
        assert any(piece["choices"][0]["delta"].get("content") for piece in pieces)
        assert (last["error"]["code"], last["error"]["type"]) == ("engine_unavailable", "server_error")
        assert "data: [DONE]" not in lines
        wait_until(lambda: ready(plain) == (503, [GONE]), 3)
        server.stalls = None
        server.stop_hanging.set()
        wait_until(lambda: ready(plain) == (200, []), 10)
        assert plain.post("/v1/chat/completions", json=chat()).status_code == 200
