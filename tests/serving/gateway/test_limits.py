"""How long an answer may be, how long it may take, how many there may be at once, and what becomes of who waits."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml

from loresmith import Workspace
from loresmith.sdk.calls.audit import SEARCH
from loresmith.serving.audit.record import AuditRecord
from tests.serving.gateway.engine_processes import held
from tests.serving.gateway.gateways import RunningGateway, make_key, make_workspace, write_config
from tests.serving.gateway.house import chat, wait_until
from tests.serving.gateway.records import records_of
from tests.serving.gateway.test_faults import Stream

ENDLESS = chat(max_tokens=3900, logit_bias={"0": -100, "2": -100}, temperature=0)
"""An answer of many seconds: its model never ends by itself."""


@dataclass(frozen=True)
class Narrow:
    """A gateway that answers one request at a time."""

    gateway: RunningGateway
    workspace: Path
    config: Path
    key: str

    def client(self, **more: Any) -> httpx.Client:
        return self.gateway.client(self.key, **more)

    @contextmanager
    def configured(self, **changes: Any) -> Iterator[None]:
        """With other settings, until the end."""
        before = self.config.read_text()
        try:
            write_config(self.config.parent, {**yaml.safe_load(before), **changes})
            self._reload()
            yield
        finally:
            self.config.write_text(before)
            self._reload()

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """While somebody else is answered, who goes away at the end."""
        wait_until(lambda: not is_refused(self))  # whoever was answered before has been gone for a moment only
        with ExitStack() as engine, self.send({**ENDLESS, "stream": True}) as connection:
            begun = b""
            while begun.count(b"data: ") < 3:
                begun += (piece := connection.recv(4096))
                assert piece, begun
            engine.enter_context(held(self.gateway))
            assert b"[DONE]" not in begun
            yield

    def send(self, body: dict[str, Any]) -> socket.socket:
        """A connection over which a chat was asked for."""
        host, _, port = self.gateway.address.removeprefix("http://").rpartition(":")
        payload = json.dumps(body).encode()
        lines = ["POST /v1/chat/completions HTTP/1.1", "Host: x", f"Authorization: Bearer {self.key}"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(payload)}"]
        connection = socket.create_connection((host, int(port)))
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + payload)
        return connection

    def _reload(self) -> None:
        with self.client() as client:
            client.post("/admin/reload").raise_for_status()


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Narrow]:
    folder = tmp_path_factory.mktemp("narrow")
    workspace = folder / "workspace"
    make_workspace(workspace)
    key = make_key(workspace, "user:ada", "admins")
    model = {"release": "acme", "window": 4096, "slots": 2, "threads": 1}
    rules = {"groups": {"admins": {}}, "policy": {"administrators": ["admins"]}}
    quotas = {"running": 1, "waiting": 1, "patience_seconds": 60}
    config = write_config(folder, {"models": {"acme": model}, "quotas": quotas, **rules})
    with RunningGateway(workspace, config) as gateway:
        yield Narrow(gateway, workspace, config, key)


def outcome(narrow: Narrow, response: str) -> AuditRecord:
    return records_of(narrow.workspace, response)[-1]


def is_refused(narrow: Narrow) -> bool:
    """Whether there is no room even to wait. Who may wait goes away again after a moment."""
    with narrow.client() as client:
        try:
            return bool(client.post("/v1/chat/completions", json=chat(), timeout=2).status_code == 429)
        except httpx.TimeoutException:
            return False


@contextmanager
def waiting(narrow: Narrow, body: dict[str, Any]) -> Iterator[None]:
    """While a request waits for its turn, and takes up the room that there is for it."""
    for _ in range(20):
        with narrow.send(body) as connection:
            if is_refused(narrow) and not select.select([connection], [], [], 0)[0]:
                yield
                return
    raise AssertionError("those who looked whether there was room took it")


@pytest.mark.parametrize("streamed", [False, True])
def test_who_leaves_while_waiting_leaves_the_place(narrow: Narrow, streamed: bool) -> None:
    with narrow.occupied():
        with waiting(narrow, {**chat(), "stream": streamed}):
            wait_until(lambda: is_refused(narrow))
        wait_until(lambda: not is_refused(narrow))
    with narrow.client() as client:
        assert client.post("/v1/chat/completions", json=chat()).status_code == 200


def test_a_full_queue_says_when_to_come_again(narrow: Narrow) -> None:
    quotas = {"running": 1, "waiting": 0, "patience_seconds": 60}
    with narrow.configured(quotas=quotas), narrow.client() as client:
        with narrow.occupied():
            for streamed in (False, True):
                refused = client.post("/v1/chat/completions", json={**chat(), "stream": streamed})
                assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
                assert int(refused.headers["retry-after"]) >= 1
                assert outcome(narrow, refused.headers["x-request-id"]).status == 429
        wait_until(lambda: client.post("/v1/chat/completions", json=chat()).status_code == 200)


def test_an_answer_is_no_longer_than_the_gateway_lets_it(narrow: Narrow) -> None:
    with narrow.configured(limits={"answer_tokens": 7}), narrow.client() as client:
        said = client.post("/v1/chat/completions", json=ENDLESS).json()
        assert (said["usage"]["completion_tokens"], said["choices"][0]["finish_reason"]) == (7, "length")
        streamed = {**ENDLESS, "stream": True, "stream_options": {"include_usage": True}}
        stream = Stream(narrow.gateway, narrow.key, streamed)
        stream.thread.join(60)
        assert (stream.events[-1]["usage"]["completion_tokens"], stream.done) == (7, True)
    with narrow.client() as client:
        assert client.post("/v1/chat/completions", json=chat()).json()["usage"]["completion_tokens"] <= 4


def test_so_many_tokens_are_set_aside_as_all_answers_may_have(narrow: Narrow) -> None:
    body = chat(max_tokens=50, logit_bias={"0": -100, "2": -100})
    with narrow.client() as client:
        prompt = client.post("/v1/chat/completions", json=body).json()["usage"]["prompt_tokens"]
    limits = {"tokens_per_minute": 1, "token_burst": prompt + 150}
    with narrow.configured(quotas={"running": 4, "each_caller": limits}), narrow.client() as client:
        refused = client.post("/v1/chat/completions", json={**body, "n": 4})
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        said = client.post("/v1/chat/completions", json={**body, "n": 3}).json()
        assert said["usage"] | {"prompt_tokens_details": 0} == {
            "prompt_tokens": prompt,
            "completion_tokens": 150,
            "total_tokens": prompt + 150,
            "prompt_tokens_details": 0,
        }
        assert client.post("/v1/chat/completions", json={**body, "max_tokens": 1}).status_code == 429  # all is taken


TIMED_OUT = {"message": "this took longer than 1 seconds", "type": "timeout_error", "param": None, "code": "timeout"}


def test_what_takes_too_long_ends_and_says_so(narrow: Narrow) -> None:
    with narrow.configured(limits={"request_seconds": 1}), narrow.client() as client:
        whole = client.post("/v1/chat/completions", json=ENDLESS)
        assert (whole.status_code, whole.json()["error"]) == (408, TIMED_OUT)
        ended = outcome(narrow, whole.headers["x-request-id"])
        assert (ended.status, ended.error) == (408, "the time limit")

        for _ in range(30):  # a busy machine may say nothing for a second
            stream = Stream(narrow.gateway, narrow.key, {**ENDLESS, "stream": True})
            stream.thread.join(60)
            assert stream.failure is None  # the stream itself is whole
            if stream.begun:
                break
        assert (stream.events[-1]["error"], stream.done) == (TIMED_OUT, False)
        ended = outcome(narrow, stream.response)
        assert (ended.status, ended.error) == (408, "the time limit")
        said = "".join(event["choices"][0]["delta"].get("content") or "" for event in stream.events[:-1])
        assert ended.bytes_emitted == len(said.encode()) > 0
        assert ended.completion_tokens > 0

        # Whoever comes next finds the place free.
        wait_until(lambda: client.post("/v1/chat/completions", json=chat(max_tokens=1)).status_code == 200)


def test_applications_catch_a_stream_that_takes_too_long(narrow: Narrow) -> None:
    import openai

    application = narrow.gateway.openai(narrow.key)
    with narrow.configured(limits={"request_seconds": 1}):
        with pytest.raises(openai.APIError, match="took longer than 1 seconds"):
            for _ in application.chat.completions.create(**ENDLESS, stream=True):
                pass
        numbers = {"type": "array", "items": {"type": "integer"}, "minItems": 3000}
        schema = {"type": "object", "properties": {"n": numbers}, "required": ["n"], "additionalProperties": False}
        form = {"format": {"type": "json_schema", "name": "numbers", "schema": schema}}
        asked: dict[str, Any] = {"model": "acme", "input": "Hi", "max_output_tokens": 3900, "text": form}
        events: list[Any] = []
        for _ in range(30):  # a busy machine may not have begun within a second
            with suppress(openai.APIStatusError):
                events = list(application.responses.create(**asked, stream=True))
                break
        assert events[-1].type == "response.failed"
        assert "took longer than 1 seconds" in events[-1].response.error.message
        assert outcome(narrow, events[-1].response.id).status == 408


def test_whoever_waits_too_long_for_a_turn_is_told(narrow: Narrow) -> None:
    with narrow.occupied(), narrow.configured(limits={"request_seconds": 0.5}), narrow.client() as client:
        for streamed in (False, True):
            late = client.post("/v1/chat/completions", json={**chat(), "stream": streamed})
            assert (late.status_code, late.json()["error"]["code"]) == (408, "timeout")
            ended = outcome(narrow, late.headers["x-request-id"])
            assert (ended.status, ended.error, ended.completion_tokens) == (408, "the time limit", 0)


def test_who_leaves_is_not_taken_for_late(narrow: Narrow) -> None:
    with narrow.occupied():
        pass
    with Workspace.open(narrow.workspace) as opened:

        def last() -> AuditRecord:
            found = SEARCH.run(opened, SEARCH.request(limit=10), lambda _: None).records
            return max((one.record for one in found), key=lambda record: record.at)

        wait_until(lambda: (last().phase, last().status) == ("outcome", 499))


def test_a_stream_outlives_a_change_of_the_policy(narrow: Narrow) -> None:
    stream = Stream(narrow.gateway, narrow.key, {**ENDLESS, "stream": True})
    wait_until(lambda: stream.begun, pause=0.005)
    (narrow.config.parent / "own.cedar").write_text(
        'forbid (principal == User::"ada", action == Action::"complete", resource);\n'
    )
    policy = {"administrators": ["admins"], "files": ["own.cedar"]}
    quotas = {"running": 2, "waiting": 0}
    with held(narrow.gateway), narrow.configured(policy=policy, quotas=quotas), narrow.client() as client:
        refused = client.post("/v1/chat/completions", json=chat())
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
        assert not stream.done, "it was over too soon to tell"
    with narrow.configured(policy=policy, quotas=quotas):
        stream.thread.join(60)
        assert (stream.failure, stream.done) == (None, True)
        assert stream.events[-1]["choices"][0]["finish_reason"] == "length"
        before, after = outcome(narrow, stream.response), outcome(narrow, refused.headers["x-request-id"])
        assert (before.status, before.allowed, after.status, after.allowed) == (200, True, 404, False)
        assert before.policy != after.policy
