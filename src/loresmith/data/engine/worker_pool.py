"""Processes that carry out a function for many items, side by side."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from loresmith.data.engine.engine import R, T
from loresmith.errors import Failure

TICK_SECONDS = 0.25
AHEAD = 4
"""So many items for each worker are begun before the earliest is finished: what waits for its turn takes memory."""

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1")


class _Worker:
    """One process."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "loresmith.data.engine.worker", str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_ONE_THREAD},
            )
        self.connection: Connection[Any, Any] = Connection(ours.detach())
        self.item: int | None = None
        self._tell(sys.path)

    def give(self, number: int, task: bytes) -> None:
        self.item = number
        with suppress(BrokenPipeError, ConnectionResetError):  # it is dead, and its silence will tell
            self.connection.send_bytes(task)

    def _tell(self, path: list[str]) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send_bytes(pickle.dumps(path))

    def end(self) -> int:
        """Kill it, unless it has ended; returns how it had ended if it had."""
        self.process.poll()
        if self.process.returncode is None:
            self.process.kill()
        self.connection.close()
        return self.process.wait()


class WorkerPool:
    """Workers, started when they are needed and kept until `close`. They end with this process, however it ends.

    They are started afresh, not forked, so that threads here do no harm, and have one thread each.

    Args:
        most: how many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._workers: list[_Worker] = []

    def map(self, function: Callable[[T], R], items: Sequence[T], tick: Callable[[], None]) -> Iterator[R]:
        """What the function makes of each item, in their order (see `Engine.map`)."""
        results: dict[int, tuple[bool, Any]] = {}
        begun = 0
        try:
            for turn in range(len(items)):
                while turn not in results:
                    while begun < min(len(items), turn + self._most * AHEAD) and (worker := self._idle()) is not None:
                        worker.give(begun, pickle.dumps((function, items[begun])))
                        begun += 1
                    tick()
                    results.update(self._listen(items))
                done, value = results.pop(turn)
                if not done:
                    raise value
                yield value
        finally:
            for worker in [worker for worker in self._workers if worker.item is not None]:
                self._remove(worker)  # its answer is wanted no longer

    def close(self) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _idle(self) -> _Worker | None:
        for worker in self._workers:
            if worker.item is None:
                return worker
        if len(self._workers) == self._most:
            return None
        self._workers.append(_Worker())
        return self._workers[-1]

    def _listen(self, items: Sequence[Any]) -> Iterator[tuple[int, tuple[bool, Any]]]:
        """What came in within a tick: of which item, whether it is its result, and the result or the exception."""
        busy = {worker.connection: worker for worker in self._workers if worker.item is not None}
        for ready in wait(list(busy), timeout=TICK_SECONDS):
            worker = busy[ready]  # type: ignore[index]  # what was given comes back
            assert worker.item is not None
            number, worker.item = worker.item, None
            try:
                answer: tuple[bool, Any] = pickle.loads(worker.connection.recv_bytes())  # noqa: S301 - of our own process
            except (EOFError, ConnectionResetError):
                answer = False, died(items[number], _ended(self._remove(worker)))
            yield number, answer

    def _remove(self, worker: _Worker) -> int:
        self._workers.remove(worker)
        return worker.end()


def _ended(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def died(item: object, how: str) -> Failure:
    """What is said of a worker that ended over an item."""
    return Failure(
        f"a worker process ended ({how})",
        where=str(item)[:200],
        hint="if the system ended it for want of memory, set fewer `threads` or less `memory` under `compute`; start "
        "again, and it goes on with what is finished",
    )
