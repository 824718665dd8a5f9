"""Stages on Ray: shards as tasks, joins by Daft on its Ray runner.

Where the environment names a cluster (RAY_ADDRESS), it is used, and left as it is. Otherwise a Ray of this machine is
started, which nobody else can use, and ended again. All machines of a cluster must have Loresmith, and see the
workspace under the same path.
"""

from __future__ import annotations

import os
import pickle
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from loresmith.data.engine.daft_tables import DaftTables
from loresmith.data.engine.engine import R, T
from loresmith.data.engine.worker import carried_out
from loresmith.data.engine.worker_pool import AHEAD, TICK_SECONDS, died
from loresmith.errors import Failure, UserError

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0"}
if "RAY_ADDRESS" not in os.environ:  # Ray looks at these when it is imported
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}

try:
    import ray
except ImportError as error:
    raise UserError(
        f"the launcher ray needs what is not installed: {error}",
        where="compute.launcher",
        hint="pip install 'loresmith[ray]'",
    ) from None

_OBJECTS, _FEWEST_OBJECTS = 8, 128 << 20
"""Of the memory, the objects that tasks pass on take one part in so many; and at least so many bytes."""

_ATTEMPTS = 2
"""So often a task is begun on a machine that goes."""


class RayEngine:
    """The engine of a Ray cluster.

    Args:
        workers: tasks at once on this machine; on a cluster there are as many as it has cores.
        memory: bytes for the tasks of a machine and for joins; Ray's own processes take half a gigabyte besides.
        work: a folder for the tables alone.
    """

    def __init__(self, workers: int, memory: int, work: Path) -> None:
        self.workers = max(1, workers)
        self.memory = memory
        self._ours = not ray.is_initialized()
        self._folder = Path(tempfile.mkdtemp(prefix="ray-"))  # of its sockets, whose paths must be short, and its logs
        if self._ours:
            _connect(self.workers, memory, self._folder)
        self._remote = ray.remote(max_retries=_ATTEMPTS - 1, num_cpus=1)(_carried_out)
        self.tables = DaftTables(work, memory, runner="ray")

    def map(
        self, function: Callable[[T], R], items: Sequence[T], tick: Callable[[], None] = lambda: None
    ) -> Iterator[R]:
        begun: list[Any] = []
        most = max(self.workers, int(_resources().get("CPU", 1))) * AHEAD
        try:
            for turn, item in enumerate(items):
                while len(begun) < min(len(items), turn + most):
                    begun.append(self._remote.remote(sys.path, pickle.dumps((function, items[len(begun)]))))
                while not ray.wait([begun[turn]], timeout=TICK_SECONDS)[0]:
                    tick()
                tick()
                done, value = pickle.loads(_result(begun[turn], item))  # noqa: S301 - of a task of our own
                begun[turn] = None
                if not done:
                    raise value
                yield value
        finally:
            for task in begun:
                if task is not None:
                    ray.cancel(task, force=True)

    def close(self) -> None:
        if self._ours:
            ray.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _connect(workers: int, memory: int, folder: Path) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if "RAY_ADDRESS" in os.environ:
            ray.init(**quiet)
            return
        ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=max(_FEWEST_OBJECTS, memory // _OBJECTS),
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder),
            **quiet,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise Failure(f"Ray cannot be reached or started: {error}", where="compute.launcher") from None


def _resources() -> dict[str, float]:
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found


def _carried_out(path: list[str], task: bytes) -> bytes:
    """In a worker of Ray."""
    sys.path[:] = [*path, *(entry for entry in sys.path if entry not in path)]
    return carried_out(task)


def _result(task: Any, item: object) -> bytes:
    try:
        answer: bytes = ray.get(task)
    except ray.exceptions.OutOfMemoryError:
        raise died(item, "the machine has too little memory") from None
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.ObjectLostError) as error:
        raise died(item, type(error).__name__) from None
    return answer
