"""What looks on while a model trains: the curve, the held-out number, the checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from loresmith.training.checkpoint import Checkpoint
from loresmith.training.checkpoint_writer import CheckpointWriter
from loresmith.training.loop import Callback, StepReport, Trainer
from loresmith.training.parallel import put_together
from loresmith.training.ranks import Ranks

__all__ = ["HELD_OUT", "Callback", "Checkpoints", "Curve", "HeldOutCurve", "Measure", "Surroundings"]

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

    @property
    def tensor_parallel(self) -> int: ...

    @property
    def expert_parallel(self) -> int: ...

    def output(self, role: str) -> Path: ...

    def log(self, message: str) -> None: ...

    def progress(self, done: float, total: float | None, unit: str, /, **numbers: float) -> None: ...

    def metric(self, name: str, value: float, position: float) -> None: ...

    def checkpoint(self, directory: Path, position: float) -> None: ...

    def stop_requested(self) -> bool: ...

    def stopped(self) -> None: ...


@dataclass(frozen=True)
class Measure:
    """A number that is measured on held-out data while a model trains.

    Attributes:
        name: of the metric.
        of: measures a model; its second argument is called now and then and may raise to stop.
        at_start: whether it is also measured before the first step, as for a base whose forgetting is to be seen.
        of_bytes: UTF-8 bytes of the text that it is measured on; 0 where that says nothing.
    """

    name: str
    of: Callable[[Any, Callable[[int], None] | None], float]
    at_start: bool = False
    of_bytes: int = 0


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
        if not math.isfinite(value):
            self._surroundings.log(f"{name} is {value} after {position} tokens")
            return
        self.history.append((name, value, position))
        self._surroundings.metric(name, value, position)

    def newest(self, name: str) -> float | None:
        return next((value for known, value, _ in reversed(self.history) if known == name), None)

    def at(self, name: str, position: int) -> float | None:
        return next((value for known, value, at in self.history if known == name and at == position), None)

    def after_step(self, trainer: Trainer, report: StepReport) -> None:
        now = time.monotonic()
        if self._since is None:
            self._since = (now, report.tokens)
        if self.shows(report) and not report.skipped:
            self.record("loss", report.loss, report.tokens)
            self.record("learning_rate", report.learning_rate, report.tokens)
            self.record("gradient_norm", report.gradient_norm, report.tokens)
            began, tokens = self._since
            if now - began >= 1.0:
                self.record("tokens_per_second", (report.tokens - tokens) / (now - began), report.tokens)
                self._since = (now, report.tokens)
        numbers = {} if report.skipped else {"loss": report.loss}
        for name in (HELD_OUT, "tokens_per_second"):
            value = self.newest(name)
            if value is not None:
                numbers[name] = value
        self._surroundings.progress(report.tokens, self._budget_tokens, "tokens", **numbers)

    def shows(self, report: StepReport) -> bool:
        """Whether the step is a point of the curve."""
        return report.step % self._interval == 0

    def pause(self) -> None:
        """What comes now is no training: it does not count for the speed."""
        self._since = None


class _StopMeasuring(Exception):
    pass


class HeldOutCurve:
    """Measures every `interval_tokens` and at the end.

    A measurement that is cut off by a request to stop is made by the process that goes on: see `catch_up`.
    """

    def __init__(
        self,
        measures: Sequence[Measure],
        curve: Curve,
        surroundings: Surroundings,
        interval_tokens: int,
        batch_tokens: int,
        ranks: Ranks,
    ) -> None:
        self._measures = measures
        self._ranks = ranks
        self._curve = curve
        self._surroundings = surroundings
        self._interval = interval_tokens
        self._batch_tokens = batch_tokens

    def after_step(self, trainer: Trainer, report: StepReport) -> None:
        self.catch_up(trainer)

    def catch_up(self, trainer: Trainer) -> bool:
        """Measure now what is due here and has not been measured.

        Returns:
            Whether all of it was; otherwise the training has been asked to stop, and must not go on from here.
        """
        for measure in self._measures:
            if self._due(trainer, measure) and self._curve.at(measure.name, trainer.tokens) is None:
                self._curve.pause()
                try:
                    with put_together(trainer.predictor):
                        value = measure.of(trainer.model, self._on_batch)
                except _StopMeasuring:
                    return False
                self._curve.record(measure.name, value, trainer.tokens)
        return True

    def _due(self, trainer: Trainer, measure: Measure) -> bool:
        if trainer.step == 0:
            return measure.at_start
        passed = trainer.tokens // self._interval > (trainer.tokens - self._batch_tokens) // self._interval
        return passed or trainer.tokens >= trainer.budget_tokens

    def _on_batch(self, _counted: int) -> None:
        if any(self._ranks.sum([self._surroundings.stop_requested()])):
            raise _StopMeasuring


class Checkpoints:
    """Saves every so many seconds, every so many steps where that is asked for, after the last, and when asked to stop.

    Training goes on while a checkpoint is written; it waits for the last one, and for the one before a stop. Several
    processes do all of it at the same step, whichever of them was asked or has a clock that says so.
    """

    def __init__(
        self,
        writer: CheckpointWriter,
        curve: Curve,
        surroundings: Surroundings,
        seconds: float,
        ranks: Ranks,
        every: int | None = None,
    ) -> None:
        self._every = every
        self._writer = writer
        self._curve = curve
        self._surroundings = surroundings
        self._seconds = seconds
        self._ranks = ranks
        self._saved_at = time.monotonic()

    def after_step(self, trainer: Trainer, report: StepReport) -> None:
        late = time.monotonic() - self._saved_at >= self._seconds
        asked = [self._surroundings.stop_requested(), late, self._writer.busy]
        stop, late, busy = (number > 0 for number in self._ranks.sum(asked))
        last = report.tokens >= trainer.budget_tokens
        due = stop or last or (self._every is not None and report.step % self._every == 0)
        if not busy or due:
            self._collect()
        # While steps are being skipped the checkpoint before them stays the newest: see `Trainer.skips_in_a_row`.
        if (due or (late and not busy)) and not trainer.skipping:
            self._begin(trainer)
        if stop or last:
            self._curve.pause()
            self._collect()
        if stop:
            self._surroundings.stopped()

    def _begin(self, trainer: Trainer) -> None:
        optimiser = trainer.optimiser
        self._writer.begin(
            Checkpoint(
                trainer.step,
                trainer.tokens,
                optimiser.masters,
                optimiser.state(),
                self._curve.history,
                trainer.learnt,
                trainer.skipped,
            )
        )
        self._saved_at = time.monotonic()

    def _collect(self) -> None:
        """Say that a checkpoint is there, or fail where it could not be written."""
        written = self._writer.collect(wait=True)
        if written is not None and self._ranks.first:
            self._surroundings.checkpoint(written.directory, written.tokens)
