"""The StepContext of a step, in the process that carries it out."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from loresmith.errors import Interrupted
from loresmith.factory.compute import Compute
from loresmith.factory.events import EventWriter, NoEvents
from loresmith.factory.free_memory import free_memory
from loresmith.ledger.digest import digest_file
from loresmith.ledger.local_blobs import LocalBlobs

_PROGRESS_INTERVAL = 0.2


class WorkerContext:
    """Gives a step its folders under `action`, and passes on what it says.

    Args:
        cache: the step's.
        blobs: where the workspace's blobs lie, if that is a folder of this machine.
        erased: by what is known again what was erased from the workspace.
    """

    def __init__(
        self,
        action: Path,
        seed: int,
        threads: int,
        events: EventWriter | NoEvents,
        cache: Path,
        blobs: Path | None = None,
        tensor_parallel: int = 1,
        expert_parallel: int = 1,
        erased: frozenset[str] = frozenset(),
        compute: Compute | None = None,
    ) -> None:
        self._action = action
        self._cache = cache
        self._blobs = LocalBlobs(blobs) if blobs is not None else None
        self._events = events
        self._stop = threading.Event()
        self._last_progress = 0.0
        self.seed = seed
        self.threads = threads
        self.tensor_parallel = tensor_parallel
        self.expert_parallel = expert_parallel
        self.erased = erased
        self._compute = compute or Compute()
        self.engine = self._compute.engine

    @classmethod
    def of(
        cls,
        request: Mapping[str, Any],
        threads: int,
        events: EventWriter | NoEvents,
        tensor_parallel: int = 1,
        expert_parallel: int = 1,
        action: Path | None = None,
    ) -> WorkerContext:
        """What a request asks for; `action` where this process has a folder of its own."""
        blobs = Path(request["blobs"]) if request["blobs"] is not None else None
        folder = action or Path(request["action"])
        caches, erased = Path(request["cache"]), frozenset(request["erased"])
        division = (tensor_parallel, expert_parallel)
        compute = Compute.model_validate(request["compute"])
        return cls(folder, request["seed"], threads, events, caches, blobs, *division, erased, compute)

    @cached_property
    def memory(self) -> int:
        return self._compute.memory or free_memory() // 2

    @property
    def cache_bytes(self) -> int:
        return self._compute.cache

    @property
    def cache(self) -> Path:
        self._cache.mkdir(parents=True, exist_ok=True)
        return self._cache

    def place(self, digest: str, target: Path) -> bool:
        if self._blobs is None or not self._blobs.exists(digest):
            return False
        self._blobs.place(digest, target)
        if digest_file(target) == digest:
            return True
        target.unlink()  # the blob is damaged: here it must not be taken for whole, and `ledger verify` names it
        return False

    @property
    def work(self) -> Path:
        state = self._action / "state"
        state.mkdir(parents=True, exist_ok=True)
        return state

    def output(self, role: str) -> Path:
        directory = self._action / "outputs" / role
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def progress(self, done: float, total: float | None, unit: str, /, **numbers: float) -> None:
        moment = time.monotonic()
        if moment - self._last_progress < _PROGRESS_INTERVAL and done != total:
            return
        self._last_progress = moment
        self._events.send("progress", done=done, total=total, unit=unit, numbers=numbers)

    def metric(self, name: str, value: float, position: float) -> None:
        self._events.send("metric", name=name, value=float(value), position=float(position))

    def log(self, message: str) -> None:
        self._events.send("log", message=message)

    def checkpoint(self, directory: Path, position: float) -> None:
        self._events.send("checkpoint", path=str(directory.relative_to(self._action)), position=float(position))

    def request_stop(self) -> None:
        self._stop.set()

    def stop_requested(self) -> bool:
        return self._stop.is_set()

    def stopped(self) -> None:
        raise Interrupted("the step stopped at a safe point")
