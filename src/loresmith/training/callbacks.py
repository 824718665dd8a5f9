"""What looks on while a model trains: the curve, the held-out number, the checkpoints."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

from loresmith.training.checkpoint import Checkpoint, CheckpointStore
from loresmith.training.held_out import HeldOut
from loresmith.training.loop import StepReport, Trainer

HELD_OUT = "held_out_bits_per_byte"
POINTS_AT_MOST = 2000
"""Points of a metric's curve; longer trainings report every so many steps."""


class Surroundings(Protocol):
    """Whom training reports to and takes orders from: a step's context, as far as training needs one."""

    @property
    def seed(self) -> int: ...

    @property
    def work(self) -> Path: ...

    @property
    def threads(self) -> int: ...

    def output(self, role: str) -> Path: ...

    def log(self, message: str) -> None: ...

    def progress(self, done: float, total: float | None, unit: str, /, **numbers: float) -> None: ...

    def metric(self, name: str, value: float, position: float) -> None: ...

    def checkpoint(self, directory: Path, position: float) -> None: ...

    def stop_requested(self) -> bool: ...

    def stopped(self) -> None: ...


class Curve:
    """The metrics by position in tokens: reported as they come, and kept so that a curve is never broken.

    A process that goes on from a checkpoint first reports the whole history up to there and then what it computes, so
    that within one run's record every position comes once and none is missing. The steps after the checkpoint that a
    killed process had already reported are in that run's record, not in this one's; they are equal, bit for bit, but
    for `tokens_per_second`.
    """

    def __init__(self, surroundings: Surroundings, steps: int, budget_tokens: int) -> None:
        self.history: list[tuple[str, float, int]] = []
        self._surroundings = surroundings
        self._interval = max(1, steps // POINTS_AT_MOST)
        self._budget_tokens = budget_tokens
        self._since: tuple[float, int] | None = None

    def restore(self, history: list[tuple[str, float, int]]) -> None:
        """Report what was measured before this process began."""
        for name, value, position in history:
            self.record(name, value, position)

    def record(self, name: str, value: float, position: int) -> None:
        self.history.append((name, value, position))
        self._surroundings.metric(name, value, position)

    def newest(self, name: str) -> float | None:
        return next((value for known, value, _ in reversed(self.history) if known == name), None)

    def has(self, name: str, position: int) -> bool:
        return any(known == name and at == position for known, _, at in reversed(self.history))

    def after_step(self, trainer: Trainer, report: StepReport) -> None:
        now = time.monotonic()
        if self._since is None:
            self._since = (now, report.tokens)
        if report.step % self._interval == 0:
            self.record("loss", report.loss, report.tokens)
            self.record("learning_rate", report.learning_rate, report.tokens)
            self.record("gradient_norm", report.gradient_norm, report.tokens)
            began, tokens = self._since
            if now - began >= 1.0:
                self.record("tokens_per_second", (report.tokens - tokens) / (now - began), report.tokens)
                self._since = (now, report.tokens)
        numbers = {"loss": report.loss}
        for name in (HELD_OUT, "tokens_per_second"):
            value = self.newest(name)
            if value is not None:
                numbers[name] = value
        self._surroundings.progress(report.tokens, self._budget_tokens, "tokens", **numbers)

    def pause(self) -> None:
        """What comes now is no training: it does not count for the speed."""
        self._since = None


class _StopMeasuring(Exception):
    pass


class HeldOutCurve:
    """Measures bits per byte every `interval_tokens` and at the end.

    A measurement that is cut off by a request to stop is made by the process that goes on: see `catch_up`.
    """

    def __init__(
        self, held_out: HeldOut, curve: Curve, surroundings: Surroundings, interval_tokens: int, batch_tokens: int
    ) -> None:
        self._held_out = held_out
        self._curve = curve
        self._surroundings = surroundings
        self._interval = interval_tokens
        self._batch_tokens = batch_tokens

    def after_step(self, trainer: Trainer, report: StepReport) -> None:
        self.catch_up(trainer)

    def catch_up(self, trainer: Trainer) -> None:
        """Measure now if it is due here and has not been done."""
        if self._due(trainer) and not self._curve.has(HELD_OUT, trainer.tokens):
            self._curve.pause()
            try:
                value = self._held_out.bits_per_byte(trainer.model, on_batch=self._on_batch)
            except _StopMeasuring:
                return
            self._curve.record(HELD_OUT, value, trainer.tokens)

    def _due(self, trainer: Trainer) -> bool:
        passed = trainer.tokens // self._interval > (trainer.tokens - self._batch_tokens) // self._interval
        return trainer.step > 0 and (passed or trainer.tokens >= trainer.budget_tokens)

    def _on_batch(self, _counted: int) -> None:
        if self._surroundings.stop_requested():
            raise _StopMeasuring


class Checkpoints:
    """Saves every so many seconds, after the last step, and when asked to stop."""

    def __init__(self, store: CheckpointStore, curve: Curve, surroundings: Surroundings, seconds: float) -> None:
        self._store = store
        self._curve = curve
        self._surroundings = surroundings
        self._seconds = seconds
        self._saved_at = time.monotonic()

    def after_step(self, trainer: Trainer, report: StepReport) -> None:
        stop = self._surroundings.stop_requested()
        late = time.monotonic() - self._saved_at >= self._seconds
        if stop or late or report.tokens >= trainer.budget_tokens:
            self._save(trainer)
        if stop:
            self._surroundings.stopped()

    def _save(self, trainer: Trainer) -> None:
        self._curve.pause()
        optimiser = trainer.optimiser
        directory = self._store.save(
            Checkpoint(trainer.step, trainer.tokens, optimiser.masters, optimiser.state(), self._curve.history)
        )
        self._saved_at = time.monotonic()
        self._surroundings.checkpoint(directory, trainer.tokens)
