"""The StepContext of a step, in the process that carries it out."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from loresmith.errors import Interrupted
from loresmith.factory.events import EventWriter, NoEvents

_PROGRESS_INTERVAL = 0.2


class WorkerContext:
    """Gives a step its folders under `action`, and passes on what it says."""

    def __init__(
        self,
        action: Path,
        seed: int,
        threads: int,
        events: EventWriter | NoEvents,
        tensor_parallel: int = 1,
        expert_parallel: int = 1,
    ) -> None:
        self._action = action
        self._events = events
        self._stop = threading.Event()
        self._last_progress = 0.0
        self.seed = seed
        self.threads = threads
        self.tensor_parallel = tensor_parallel
        self.expert_parallel = expert_parallel

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
