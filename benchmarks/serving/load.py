"""Requests at a steady rate over a few connections, and how long each took.

The loop is open: a request is due at its time whether the one before has been answered or not, and its time counts from
when it was due, so that a server that stalls cannot hide it (Tene, How NOT to Measure Latency, 2013).
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Loaded:
    """What a run showed.

    Attributes:
        seconds: for each request, in order.
        failures: requests that were not answered with 200.
        rate: requests a second that were answered.
    """

    seconds: list[float]
    failures: int
    rate: float

    def percentile(self, share: float) -> float:
        """In seconds."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


def request_bytes(host: str, path: str, body: object, key: str) -> bytes:
    """A request as it goes over the wire."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def steady(host: str, port: int, request: bytes, rate: float, seconds: float, connections: int = 64) -> Loaded:
    """Send `rate` requests a second."""
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await asyncio.open_connection(host, port))
    took: list[float] = []
    failures = 0
    begun = time.perf_counter()

    async def one(due: float) -> None:
        nonlocal failures
        connection = await free.get()
        ok = await _exchange(*connection, request)
        free.put_nowait(connection)
        took.append(time.perf_counter() - due)
        failures += not ok

    tasks = []
    for number in range(int(rate * seconds)):
        due = begun + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    passed = time.perf_counter() - begun
    await _close(free)
    return Loaded(took, failures, (len(took) - failures) / passed)


async def flat_out(host: str, port: int, request: bytes, seconds: float, connections: int = 16) -> Loaded:
    """As many requests as are answered, one after the other on each connection."""
    took: list[float] = []
    failures = 0
    end = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal failures
        reader, writer = await asyncio.open_connection(host, port)
        while time.perf_counter() < end:
            begun = time.perf_counter()
            ok = await _exchange(reader, writer, request)
            took.append(time.perf_counter() - begun)
            failures += not ok
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return Loaded(took, failures, (len(took) - failures) / (time.perf_counter() - begun))


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bool:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    at = lower.find(b"content-length:")
    if at >= 0:
        await reader.readexactly(int(lower[at + 15 : lower.index(b"\r\n", at)]))
    else:
        while (size := int(await reader.readline(), 16)) > 0:
            await reader.readexactly(size + 2)
        await reader.readline()
    return head.startswith(b"HTTP/1.1 200")


async def _close(free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
    while not free.empty():
        _, writer = free.get_nowait()
        writer.close()
