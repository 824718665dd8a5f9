"""A step context that remembers: for tests that call a step's function directly, without a factory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from loresmith.errors import Interrupted
from loresmith.factory.step import InputAsset, Made, Result, Step


class RecordingContext:
    """Implements `loresmith.factory.step.StepContext` in a folder.

    Args:
        folder: outputs go to `folder/outputs/<role>`, state to `folder/work`.
        stop_after: how many times `stop_requested` says no before it says yes; None: it never does.
    """

    def __init__(self, folder: Path, seed: int = 0, threads: int = 1, stop_after: int | None = None) -> None:
        self.folder = folder
        self.seed = seed
        self.threads = threads
        self.memory = 1 << 30
        self.cache_bytes = 1 << 30
        self.engine: Literal["native", "daft", "ray"] = "native"
        self.tensor_parallel = 1
        self.expert_parallel = 1
        self.erased: frozenset[str] = frozenset()
        self.metrics: list[tuple[str, float, float]] = []
        self.logs: list[str] = []
        self.progressed: list[tuple[float, float | None, str, dict[str, float]]] = []
        self.checkpoints: list[tuple[Path, float]] = []
        self._stop_after = stop_after

    @property
    def work(self) -> Path:
        directory = self.folder / "work"
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    @property
    def cache(self) -> Path:
        directory = self.folder / "cache"
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def place(self, digest: str, target: Path) -> bool:
        return False

    def output(self, role: str) -> Path:
        directory = self.folder / "outputs" / role
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def progress(self, done: float, total: float | None, unit: str, /, **numbers: float) -> None:
        self.progressed.append((done, total, unit, numbers))

    def metric(self, name: str, value: float, position: float) -> None:
        self.metrics.append((name, value, position))

    def log(self, message: str) -> None:
        self.logs.append(message)

    def checkpoint(self, directory: Path, position: float) -> None:
        self.checkpoints.append((directory, position))

    def stop_requested(self) -> bool:
        if self._stop_after is None:
            return False
        self._stop_after -= 1
        return self._stop_after < 0

    def stopped(self) -> None:
        raise Interrupted("the step stopped at a safe point")


def run_step(
    step: Step,
    folder: Path,
    config: Mapping[str, Any],
    inputs: Mapping[str, InputAsset] | None = None,
    context: RecordingContext | None = None,
) -> Result:
    """Run a step as the factory would: settings validated, and its books required to balance."""
    settings = step.config.model_validate(dict(config))
    result = step.run(context or RecordingContext(folder), settings, inputs or {})
    assert set(result.outputs) == set(step.outputs_of(settings))
    result.books.require_balance(step.name)
    return result


def as_input(kind: str, made: Made) -> InputAsset:
    """What a step made, as the next step gets it (under a digest that names nothing)."""
    return InputAsset(
        digest="0" * 64, kind=kind, directory=made.directory, metadata=made.metadata, labels=tuple(made.labels)
    )
