"""Quotas at work: what an answer did not use comes back, so many at once, and turns by groups."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.serving.gateway.engine_processes import held
from tests.serving.gateway.gateways import RunningGateway, make_workspace, write_config
from tests.serving.gateway.guarded_house import saying
from tests.serving.gateway.house import chat, make_keys, wait_until
from tests.serving.gateway.records import records_of

BURST = 1000
FLOOD = 4
A_TURN = {"max_tokens": 900}
"""Set aside, and all that a group may take in one turn."""

SHORT = chat(**saying("Yes."))
ENDLESS = chat(max_tokens=3900, stream=True, logit_bias={"0": -100, "2": -100}, temperature=0)
"""An answer of many seconds: its model never ends by itself."""


@dataclass(frozen=True)
class Metered:
    """A gateway that answers one request at a time."""

    gateway: RunningGateway
    workspace: Path
    keys: dict[str, str]

    def ask(self, who: str, **more: Any) -> httpx.Response:
        with self.gateway.client(self.keys[who]) as client:
            return client.post("/v1/chat/completions", json={**SHORT, **more})

    @contextmanager
    def occupied(self, who: str) -> Iterator[None]:
        """While somebody is answered, who goes away at the end."""
        with (
            self.gateway.client(self.keys[who]) as client,
            client.stream("POST", "/v1/chat/completions", json=ENDLESS) as said,
        ):
            lines = said.iter_lines()  # dropped, it would close the connection
            next(lines)
            with held(self.gateway):
                yield

    def tokens_of(self, said: httpx.Response) -> tuple[int, int]:
        """Of the prompt and of the answer, as they are on the record."""
        assert said.status_code == 200, said.text
        record = records_of(self.workspace, said.headers["x-request-id"])[-1]
        return record.prompt_tokens, record.completion_tokens


@pytest.fixture(scope="module")
def metered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Metered]:
    folder = tmp_path_factory.mktemp("metered")
    workspace = folder / "workspace"
    make_workspace(workspace)
    a_minute_each = {"tokens_per_minute": 1, "token_burst": BURST}
    quotas = {
        "running": 1,
        "patience_seconds": 300,
        "callers": {
            "user:tom": a_minute_each,
            "user:tim": a_minute_each,
            "user:con": {"concurrent": 1},
            "user:flo": {"concurrent": FLOOD},
            "user:lou": {"concurrent": 1},
        },
    }
    groups = {"ward": {"members": ["user:flo"]}, "lab": {"members": ["user:lou"]}}
    keys = make_keys(workspace, {f"user:{name}": () for name in ("ada", "tom", "tim", "con", "flo", "lou")})
    model = {"release": "acme", "window": 4096, "slots": 2, "threads": 1}
    config = write_config(folder, {"models": {"acme": model}, "quotas": quotas, "groups": groups})
    with RunningGateway(workspace, config) as gateway:
        yield Metered(gateway, workspace, keys)


@pytest.mark.parametrize(("who", "stream"), [("user:tom", False), ("user:tim", True)])
def test_what_an_answer_did_not_use_comes_back(metered: Metered, who: str, stream: bool) -> None:
    used = 0
    for _ in range(2):  # for two longest answers there would not be enough
        prompt, answer = metered.tokens_of(metered.ask(who, max_tokens=BURST * 3 // 4, stream=stream))
        assert answer > 0
        used += prompt + answer
    left = BURST - used - prompt
    over = metered.ask(who, max_tokens=left + 1, stream=stream)
    assert (over.status_code, over.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 0 < int(over.headers["retry-after"]) <= 60  # for the one token that is wanting
    assert metered.ask(who, max_tokens=left, stream=stream).status_code == 200


def test_a_caller_has_so_many_answers_at_once(metered: Metered) -> None:
    with metered.occupied("user:con"):
        for stream in (False, True):
            assert_too_many(metered.ask("user:con", stream=stream), "1 requests at the same time of user:con")
    # Who went away takes up no place.
    wait_until(lambda: metered.ask("user:con").status_code == 200)


def test_a_flood_of_one_group_does_not_hold_up_another(metered: Metered) -> None:
    said: list[httpx.Response] = []

    def wait_with(who: str, number: int) -> list[threading.Thread]:
        """Let that many wait for their turn: it is so once one more is refused."""
        threads = [threading.Thread(target=lambda: said.append(metered.ask(who, **A_TURN))) for _ in range(number + 1)]
        for thread in threads:
            thread.start()
        wait_until(lambda: said)
        assert_too_many(said.pop(), f"{number} requests at the same time of {who}")
        return threads

    with metered.occupied("user:ada"):
        threads = [*wait_with("user:flo", FLOOD), *wait_with("user:lou", 1)]
    for thread in threads:
        thread.join(60)
    assert [one.status_code for one in said] == [200] * (FLOOD + 1)
    intents = [records_of(metered.workspace, one.headers["x-request-id"])[0] for one in said]
    order = [intent.principal for intent in sorted(intents, key=lambda intent: intent.at)]
    assert order == ["user:flo", "user:lou", *["user:flo"] * (FLOOD - 1)]


def assert_too_many(said: httpx.Response, why: str) -> None:
    assert said.status_code == 429, said.text
    assert said.json()["error"]["message"] == f"too much: {why}"
    assert int(said.headers["retry-after"]) >= 1
