"""What breaks while a gateway works: engines, disks, callers, the gateway itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loresmith import Workspace
from loresmith.serving.audit.record import AuditRecord
from tests.serving.gateway.engine_processes import held, processor_seconds
from tests.serving.gateway.gateways import RunningGateway, make_key, make_workspace, write_config
from tests.serving.gateway.house import House, chat, head_of, wait_until, work_of
from tests.serving.gateway.test_reload import engines, in_waiting

LONG = chat(max_tokens=1500, stream=True, logit_bias={"0": -100, "2": -100}, temperature=0)
"""An answer of some seconds: its model never ends by itself."""


def started(folder: Path, **more: Any) -> tuple[RunningGateway, str]:
    workspace = folder / "workspace"
    if not workspace.exists():
        make_workspace(workspace)
    key = make_key(workspace, "user:ada", "admins")
    model = {"release": "acme", "window": 2048, "slots": 8, "threads": 1}
    rules = {"groups": {"admins": {}}, "policy": {"administrators": ["admins"]}}
    config = write_config(folder, {"models": {"acme": model}, **rules, **more})
    return RunningGateway(workspace, config), key


def records(workspace: Path) -> dict[str, dict[str, AuditRecord]]:
    """All audit records, by response and phase."""
    from loresmith.sdk.calls.audit import SEARCH

    with Workspace.open(workspace) as opened:
        found = SEARCH.run(opened, SEARCH.request(limit=100_000), lambda _: None).records
    by_response: dict[str, dict[str, AuditRecord]] = {}
    for one in found:
        by_response.setdefault(one.record.response, {})[one.record.phase] = one.record
    return by_response


class Stream:
    """One caller who listens to a long answer, in a thread of its own."""

    def __init__(self, gateway: RunningGateway, key: str, body: dict[str, Any] = LONG) -> None:
        self.events: list[dict[str, Any]] = []
        self.done = False
        self.response = ""
        self.failure: Exception | None = None
        self._arguments = (gateway, key, body)
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        gateway, key, body = self._arguments
        try:
            with gateway.client(key) as client, client.stream("POST", "/v1/chat/completions", json=body) as said:
                self.response = said.headers["x-request-id"]
                for line in said.iter_lines():
                    self.done = self.done or line == "data: [DONE]"
                    if line.startswith("data: {"):
                        self.events.append(json.loads(line[6:]))
        except Exception as error:  # noqa: BLE001 - whatever it was, the test looks at it
            self.failure = error

    @property
    def begun(self) -> bool:
        return len(self.events) > 3


def test_who_goes_away_frees_the_slot(house: House) -> None:
    body = json.dumps(LONG).encode()
    sent = head_of(house, f"Content-Length: {len(body)}", "Content-Type: application/json") + body
    host, _, port = house.gateway.address.removeprefix("http://").rpartition(":")
    wait_until(lambda: work_of(house) == 0)
    spent = processor_seconds(house.gateway)
    with house.client() as client:
        client.post("/v1/chat/completions", json={**LONG, "stream": False}).raise_for_status()
    one = processor_seconds(house.gateway) - spent
    whole = body.replace(b'"stream": true', b'"stream":false')
    for payload in (sent, sent.replace(body, whole)):  # streamed, and not
        at_work = 0
        for _ in range(10):  # where this is slow to look, some are over
            connections = []
            for _ in range(8):  # all the slots there are
                connection = socket.create_connection((host, int(port)))
                connection.sendall(payload)
                connections.append(connection)
            wait_until(lambda: work_of(house) >= 7, pause=0.005)
            with held(house.gateway):
                at_work = int(work_of(house))
                for connection in connections:
                    connection.close()
                wait_until(lambda: work_of(house) == 0)
                spent = processor_seconds(house.gateway)
            if at_work == 8:
                break
        assert at_work == 8
        with house.client() as client:
            assert client.post("/v1/chat/completions", json=chat(max_tokens=1)).status_code == 200
        # Of the engine's slots too: it did not first write to their ends what nobody hears.
        assert processor_seconds(house.gateway) - spent < 0.5 * one


@pytest.mark.slow
def test_an_engine_that_dies_is_told_and_comes_back(tmp_path: Path) -> None:
    gateway, key = started(tmp_path)
    with gateway, gateway.client(key) as client:
        (engine,) = engines(gateway)
        wait_until(lambda: in_waiting(gateway), 60)  # as ever but in its first seconds
        streams = [Stream(gateway, key) for _ in range(4)]
        wait_until(lambda: all(stream.begun for stream in streams))
        os.kill(engine, signal.SIGKILL)
        killed = time.monotonic()
        for stream in streams:
            stream.thread.join(10)
            assert stream.failure is None
            assert stream.events[-1]["error"]["code"] == "engine_unavailable"
            assert not stream.done
        meanwhile = client.post("/v1/chat/completions", json=chat())
        assert meanwhile.status_code == 503
        assert int(meanwhile.headers["retry-after"]) >= 1
        assert client.get("/ready").status_code == 503
        assert client.get("/health").status_code == 200
        wait_until(lambda: client.post("/v1/chat/completions", json=chat()).status_code == 200, 60)
        back = time.monotonic() - killed
        print(f"the engine was back after {back:.1f} s")
        assert back < 10
        assert client.get("/ready").status_code == 200
        found = records(gateway.workspace)
        for stream in streams:
            outcome = found[stream.response]["outcome"]
            assert (outcome.status, "intent" in found[stream.response]) == (503, True)
            assert outcome.completion_tokens > 0
            text = "".join(event["choices"][0]["delta"].get("content") or "" for event in stream.events[:-1])
            assert outcome.bytes_emitted == outcome.bytes_scanned == len(text.encode())


@pytest.mark.slow
def test_sigterm_lets_streams_finish(tmp_path: Path) -> None:
    gateway, key = started(tmp_path)
    with gateway:
        streams = [Stream(gateway, key) for _ in range(6)]
        wait_until(lambda: all(stream.begun for stream in streams))
        gateway.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert gateway.process.poll() is None
        late = Stream(gateway, key)  # nobody new is let in
        late.thread.join(10)
        assert late.events == [] or "error" in late.events[0]
        for stream in streams:
            stream.thread.join(60)
            assert stream.failure is None
            assert stream.done
            assert stream.events[-1]["choices"][0]["finish_reason"] == "length"
        assert gateway.process.wait(30) == 0
    found = records(gateway.workspace)
    assert all(found[stream.response]["outcome"].status == 200 for stream in streams)


@pytest.mark.slow
def test_after_kill_9_every_answer_that_began_has_its_intent(tmp_path: Path) -> None:
    gateway, key = started(tmp_path)
    with gateway:
        streams = [Stream(gateway, key) for _ in range(6)]
        wait_until(lambda: all(stream.begun for stream in streams))
        (engine,) = engines(gateway)
        gateway.process.kill()
        for stream in streams:
            stream.thread.join(10)
            assert not stream.done
    # Nothing is left of it, the engine neither.
    wait_until(lambda: not Path(f"/proc/{engine}").exists(), 60)
    found = records(gateway.workspace)
    for stream in streams:
        assert set(found[stream.response]) == {"intent"}
    # The next one goes on from there.
    after, key = started(tmp_path)
    with after, after.client(key) as client:
        assert client.post("/v1/chat/completions", json=chat()).status_code == 200


@pytest.mark.slow
def test_two_gateways_share_a_workspace(tmp_path: Path) -> None:
    one, key = started(tmp_path)
    other, _ = started(tmp_path)
    with one, other:
        streams = [Stream(gateway, key, {**LONG, "max_tokens": 60}) for gateway in (one, other) for _ in range(8)]
        for stream in streams:
            stream.thread.join(60)
            assert stream.done, (stream.events[-1:], stream.failure)
        wait_until(
            lambda: all(len(records(one.workspace).get(stream.response, ())) == 2 for stream in streams), 20, 0.5
        )
    from loresmith.sdk.calls.audit import VERIFY

    checked = VERIFY.perform(one.workspace, VERIFY.request(), lambda _: None)
    assert checked.sound, checked.problems
    assert checked.unfinished == 0


@pytest.mark.slow
def test_who_does_not_read_holds_no_slot_for_long(tmp_path: Path) -> None:
    model = {"release": "acme", "window": 4096, "slots": 8, "threads": 1, "answer_tokens": 4000}
    gateway, key = started(tmp_path, models={"acme": model}, limits={"write_seconds": 2})
    host, _, port = gateway.address.removeprefix("http://").rpartition(":")
    # Log-probabilities make answers that no socket's buffers hold.
    body = json.dumps({**LONG, "max_tokens": 4000, "logprobs": True, "top_logprobs": 20}).encode()
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    with gateway, gateway.client(key) as client:

        def at_work() -> float:
            lines = client.get("/metrics").text.splitlines()
            return sum(float(line.split()[-1]) for line in lines if line.startswith("loresmith_requests_at_work{"))

        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect((host, int(port)))
            slow.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            wait_until(lambda: at_work() == 1, 60)
            # Others are answered as ever.
            assert client.post("/v1/chat/completions", json=chat()).status_code == 200
            took = wait_until(lambda: at_work() == 0, 60)
            print(f"the slow caller's slot was free after {took:.1f} s")

        def left() -> list[AuditRecord]:
            found = [one.get("outcome") for one in records(gateway.workspace).values()]
            return [one for one in found if one is not None and one.status == 499]

        wait_until(lambda: len(left()) == 1, 10, 0.5)
        (outcome,) = left()
        assert outcome.completion_tokens < 4000


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """A disk on which not a byte is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    try:
        yield
    finally:
        ballast.unlink()


def _on_a_small_disk(made: Path, disk: Path) -> None:
    """The story of a disk that fills up and is emptied. It changes the process: it runs in a child."""
    from tests.ledger.disks import small_disk

    small_disk(disk, 60)
    shutil.copytree(made / "workspace", disk / "workspace")
    gateway, key = started(disk)
    with gateway, gateway.client(key) as client:
        assert client.post("/v1/chat/completions", json=chat()).status_code == 200
        stream = Stream(gateway, key)
        wait_until(lambda: stream.begun)
        with full(disk):

            def refused() -> bool:
                said = client.post("/v1/chat/completions", json=chat(text="x" * 1500))
                assert said.status_code in (200, 503), said.text
                return bool(said.status_code == 503)

            wait_until(refused, 60, 0)
            said = client.post("/v1/chat/completions", json=chat())
            assert (said.status_code, said.json()["error"]["code"]) == (503, "audit_unavailable")
            assert client.get("/ready").json()["problems"] == ["the audit cannot be written"]
            assert [client.get(path).status_code for path in ("/health", "/metrics")] == [200, 200]
            # Who would be told that there is no such model, too: that could not be put on the record either.
            assert client.post("/v1/chat/completions", json=chat("nothing")).status_code == 503
            # What was under way stops too: its outcome could not be written.
            stream.thread.join(20)
            assert stream.events[-1]["error"]["code"] == "audit_unavailable"
        wait_until(lambda: client.post("/v1/chat/completions", json=chat()).status_code == 200, 60)
        wait_until(lambda: "outcome" in records(gateway.workspace).get(stream.response, ()), 60)
        assert client.get("/ready").status_code == 200
    found = records(gateway.workspace)
    assert all("outcome" in one for one in found.values())


@pytest.mark.slow
def test_a_full_disk_ends_all_answers_until_there_is_room(tmp_path: Path) -> None:
    import multiprocessing

    made, disk = tmp_path / "made", tmp_path / "disk"
    made.mkdir()
    disk.mkdir()
    make_workspace(made / "workspace")
    child = multiprocessing.get_context("spawn").Process(target=_on_a_small_disk, args=(made, disk))
    child.start()
    child.join(300)
    assert child.exitcode == 0
