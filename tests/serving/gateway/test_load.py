"""Many at once, for long: no error, no growth, nothing left behind by those who went away."""

from __future__ import annotations

import os
import socket
import statistics
import threading
import time
from pathlib import Path

import pytest

from tests.serving.gateway.gateways import RunningGateway
from tests.serving.gateway.house import chat, wait_until
from tests.serving.gateway.test_faults import started
from tests.serving.gateway.test_reload import engines

MINUTES = float(os.environ.get("LORESMITH_LOAD_MINUTES", "1"))
"""How long the load lasts; 10 for the record."""

WARM_MINUTES = 10
"""From so many minutes on memory has to be flat: before, slots are touched for the first time and libraries loaded."""

STREAMS = 32
ABANDONED = 2000


def resident(process: int) -> int:
    """Bytes of memory that a process has."""
    fields = Path(f"/proc/{process}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def memory(gateway: RunningGateway) -> int:
    return sum(resident(process) for process in (gateway.process.pid, *engines(gateway)))


class Load:
    """Callers who ask one after the other, until told to stop."""

    def __init__(self, gateway: RunningGateway, key: str) -> None:
        self.gateway, self.key = gateway, key
        self.first: list[float] = []
        self.whole: list[float] = []
        self.problems: list[str] = []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(STREAMS)]
        for thread in self.threads:
            thread.start()

    def _ask(self, number: int) -> None:
        with self.gateway.client(self.key) as client:
            turn = 0
            while not self.stop.is_set():
                turn += 1
                body = chat(text=f"{number} asks for the {turn}th time", max_tokens=32, stream=True, seed=turn)
                begun = time.perf_counter()
                try:
                    with client.stream("POST", "/v1/chat/completions", json=body) as said:
                        lines = said.iter_lines()
                        first = next(lines, "")
                        self.first.append(time.perf_counter() - begun)
                        rest = [line for line in lines if line]
                except Exception as error:  # noqa: BLE001 - whatever it was, it must not have been
                    self.problems.append(f"{type(error).__name__}: {error}")
                    return
                self.whole.append(time.perf_counter() - begun)
                if said.status_code != 200 or rest[-1:] != ["data: [DONE]"]:
                    self.problems.append(f"{said.status_code} {first} {rest[-1:]}")


def share(numbers: list[float], part: float) -> float:
    return statistics.quantiles(numbers, n=1000)[round(part * 1000) - 1]


@pytest.mark.slow
def test_thirty_two_streams_for_minutes_leave_no_trace(tmp_path: Path) -> None:
    gateway, key = started(tmp_path, models={"acme": {"release": "acme", "window": 512, "slots": 32, "threads": 1}})
    with gateway:
        load = Load(gateway, key)
        seconds = MINUTES * 60
        time.sleep(seconds * 0.4)  # by now every part has been used, and buffers are as large as they get
        middle = [memory(gateway) for _ in range(5) if not time.sleep(seconds * 0.02)]
        time.sleep(seconds * 0.4)
        end = [memory(gateway) for _ in range(5) if not time.sleep(seconds * 0.02)]
        load.stop.set()
        for thread in load.threads:
            thread.join(60)
        growth = statistics.median(end) / statistics.median(middle) - 1
        print(
            f"{len(load.whole)} answers in {seconds:.0f} s, {len(load.problems)} problems; first piece p50 "
            f"{share(load.first, 0.5):.3f} s, p99 {share(load.first, 0.99):.3f} s; whole p50 "
            f"{share(load.whole, 0.5):.3f} s, p99 {share(load.whole, 0.99):.3f} s; memory "
            f"{statistics.median(middle) / 2**20:.0f} MiB, {growth:+.1%}"
        )
        assert load.problems == []
        assert MINUTES < WARM_MINUTES or growth < 0.03


@pytest.mark.slow
def test_two_thousand_abandoned_connections_leave_no_slot_taken(tmp_path: Path) -> None:
    gateway, key = started(tmp_path)
    host, _, port = gateway.address.removeprefix("http://").rpartition(":")
    body = b'{"model": "acme", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 500, "stream": true}'
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    stages = [b"", head[:40], head, head + body[:20], head + body]
    with gateway, gateway.client(key) as client:

        def at_work() -> float:
            lines = client.get("/metrics").text.splitlines()
            return sum(float(line.split()[-1]) for line in lines if line.startswith("loresmith_requests_at_work{"))

        def files() -> int:
            return len(list(Path(f"/proc/{gateway.process.pid}/fd").iterdir()))

        assert client.post("/v1/chat/completions", json=chat()).status_code == 200
        before = files()
        for number in range(ABANDONED):
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(stages[number % len(stages)])
        wait_until(lambda: at_work() == 0, 60)
        begun = time.monotonic()
        assert client.post("/v1/chat/completions", json=chat(max_tokens=1)).status_code == 200
        assert time.monotonic() - begun < 2
        wait_until(lambda: files() <= before + 5, 60)
