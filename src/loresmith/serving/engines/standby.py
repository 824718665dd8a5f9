"""A process in waiting that has loaded an engine's libraries already, and has yet to be told which engine it is.

Loading them takes seconds; a model that was promoted, rolled back or is started again after a failure need not wait for
them.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress

from loresmith.serving.engines.starting import FACTORIES, EngineStart

DELAY_SECONDS = 5.0
"""How long after an engine has started the process in waiting is: the first answers come first."""

LINE_BYTES = 1 << 26
"""The longest line that an engine's process may say."""


class Standby:
    """At most one such process, for engines of the kind `torch`; for one event loop."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._threads = 0
        self._preparing: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._closed = False

    @property
    def process_id(self) -> int | None:
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    def take(self, start: EngineStart) -> asyncio.subprocess.Process | None:
        """The process, if it can become this engine; from now on it is the caller's. One that is yet to come waits
        until the caller's own has had its time: both would load the same libraries on the same processors."""
        self._put_off()
        if self.process_id is None or not _suits(start) or start.threads != self._threads:
            return None
        process, self._process = self._process, None
        return process

    def prepare(self, start: EngineStart) -> None:
        """Have one for another engine like this, in a while."""
        self._put_off()
        if self._closed or not _suits(start) or self._preparing is not None:
            return
        if self.process_id is None or start.threads != self._threads:
            self._preparing = asyncio.create_task(self._prepare(start.threads), name="engine: stand by")

    async def close(self) -> None:
        """End it."""
        self._closed = True
        if self._preparing is not None:
            self._preparing.cancel()
            with suppress(asyncio.CancelledError):
                await self._preparing
        await self._end()

    def _put_off(self) -> None:
        self._not_before = time.monotonic() + DELAY_SECONDS

    async def _prepare(self, threads: int) -> None:
        try:
            while (left := self._not_before - time.monotonic()) > 0:
                await asyncio.sleep(left)
            await self._end()
            self._process, self._threads = await spawn(threads, "--libraries"), threads
        finally:
            self._preparing = None

    async def _end(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None


async def spawn(threads: int, *arguments: str) -> asyncio.subprocess.Process:
    """An engine's process, which has to be told which engine it is."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "loresmith.serving.engines.worker",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=engine_environment(threads),
        limit=LINE_BYTES,
    )


def engine_environment(threads: int) -> dict[str, str]:
    """What the variables of an engine's process are: ours, and what makes it fast.

    glibc is asked for huge pages, since weights, keys and values are read whole for every token, and GNU's OpenMP to
    let go of a core soon: a thread that waits for others turns idly for milliseconds, and where two engines share
    cores they wait for one another most of the time. Elsewhere, and where an operator has set something else, nothing
    is asked.
    """
    threading = {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    return {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "GOMP_SPINCOUNT": "1000", **os.environ, **threading}


def _suits(start: EngineStart) -> bool:
    return start.factory == FACTORIES["torch"]
