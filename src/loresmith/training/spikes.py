"""Sudden rises of the loss, said when they happen."""

from __future__ import annotations

import math
from collections import deque

from loresmith.training.callbacks import Curve, Surroundings
from loresmith.training.loop import StepReport, Trainer

SPIKE = "loss_spike"
WINDOW = 64
"""Points of the curve that the loss is compared with."""

DEVIATIONS = 6.0
"""How many standard deviations of them above their mean a spike is. Losses of steps scatter with few outliers."""


class LossSpikes:
    """Records a metric and a line of the log when the loss of a step, or a step without one, stands out.

    The window is taken from the curve, so that a training that goes on says what one that never stopped would.
    """

    def __init__(self, curve: Curve, surroundings: Surroundings) -> None:
        self._curve = curve
        self._surroundings = surroundings
        losses = [value for name, value, _ in curve.history if name == "loss"]
        self._window = deque(losses[-WINDOW:], WINDOW)

    def after_step(self, trainer: Trainer, report: StepReport) -> None:
        if report.skipped:
            self._say(f"step {report.step} was skipped: loss {report.loss}, gradient norm {report.gradient_norm}")
            self._curve.record("skipped_steps", len(trainer.skipped), report.tokens)
            return
        if len(self._window) == WINDOW:
            mean = sum(self._window) / WINDOW
            deviation = math.sqrt(sum((loss - mean) ** 2 for loss in self._window) / WINDOW)
            if report.loss > mean + DEVIATIONS * max(deviation, 1e-3):
                self._say(f"step {report.step}: the loss rose to {report.loss:.3f}, from {mean:.3f} on average")
                self._curve.record(SPIKE, report.loss - mean, report.tokens)
        if self._curve.shows(report):
            self._window.append(report.loss)

    def _say(self, message: str) -> None:
        self._surroundings.log(message)
