"""Stages on this machine: shards in a pool of processes, joins over files of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from loresmith.data.engine.engine import R, T, Tables
from loresmith.data.engine.native_tables import NativeTables
from loresmith.data.engine.worker_pool import WorkerPool

_PROCESS = 256 << 20
"""Bytes of memory without which a worker is not worth starting."""

_RESTING = 128 << 20
"""What a process takes that does nothing."""


class LocalEngine:
    """The engine of one machine. With one worker, or for one item, no other process is started."""

    def __init__(self, workers: int, memory: int, tables: Tables) -> None:
        self.workers = max(1, workers)
        self.memory = memory
        self.tables = tables
        self._pool = WorkerPool(self.workers)

    def map(
        self, function: Callable[[T], R], items: Sequence[T], tick: Callable[[], None] = lambda: None
    ) -> Iterator[R]:
        if self.workers > 1 and len(items) > 1:
            return self._pool.map(function, items, tick)
        return _one_by_one(function, items, tick)

    def close(self) -> None:
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _one_by_one(function: Callable[[T], R], items: Sequence[T], tick: Callable[[], None]) -> Iterator[R]:
    for item in items:
        tick()
        yield function(item)


def local_engine(workers: int, memory: int, work: Path, tables: Literal["native", "daft"] = "native") -> LocalEngine:
    """An engine on this machine.

    Args:
        workers: processes at once, or fewer where the memory is too little for so many; 1: only this one.
        memory: bytes that they may take in all. While rows are joined, the workers rest.
        work: a folder for the tables alone, which need not be there.
        tables: what joins rows.

    Raises:
        UserError: Daft is not installed.
    """
    workers = max(1, min(workers, memory // _PROCESS - 1))
    joins = max(memory // 4, memory - (workers + 1) * _RESTING)
    if tables == "native":
        return LocalEngine(workers, memory, NativeTables(work, joins))
    from loresmith.data.engine.daft_tables import DaftTables

    return LocalEngine(workers, memory, DaftTables(work, joins, threads=workers))
