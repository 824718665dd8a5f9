"""The training loop. There is one; a method is an objective, and where its batches come from is their maker's business.

    for step in steps:
        for micro_batch in batch:                  # forward_backward
            loss = objective(model, micro_batch) / weight of the whole batch
            loss.backward()
        clip the gradient                          # optim_step
        update the weights with the scheduled learning rates
        tell the callbacks

The loss of a batch is its summed loss over its summed weight, whatever way it is cut into micro-batches: eight of one
sequence give the gradient of one of eight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from loresmith.errors import Failure
from loresmith.training.checkpoint import Checkpoint
from loresmith.training.objective import Batch, Objective
from loresmith.training.optimiser import Optimiser
from loresmith.training.randomness import derived_seed
from loresmith.training.schedule import ScheduleSettings, learning_rate_factor


@dataclass(frozen=True)
class StepReport:
    """What a step did.

    Attributes:
        step: steps done so far, this one included.
        tokens: tokens trained on so far, this step's included.
        loss: reported loss of the step's batch, before its update: nats per weighted token.
        gradient_norm: norm of the whole gradient before clipping.
        learning_rate: Muon's, on the matrices; the others rise and fall with it.
    """

    step: int
    tokens: int
    loss: float
    gradient_norm: float
    learning_rate: float


class Callback(Protocol):
    """Something that looks on after each step. It must not change what the next step computes."""

    def after_step(self, trainer: Trainer, report: StepReport) -> None: ...


class Trainer:
    """A model in training.

    Args:
        model: what is trained; its parameters belong to `optimiser`.
        optimiser: see there.
        schedule: of the learning rates.
        budget_tokens: tokens of the whole training, for the schedule.
        seed: what is random inside the model (dropout) follows from it and the step.

    Attributes:
        step: steps done.
        tokens: tokens trained on.
    """

    def __init__(
        self, model: nn.Module, optimiser: Optimiser, schedule: ScheduleSettings, budget_tokens: int, seed: int
    ) -> None:
        self.model = model
        self.optimiser = optimiser
        self.schedule = schedule
        self.budget_tokens = budget_tokens
        self.seed = seed
        self.step = 0
        self.tokens = 0
        self._collected_tokens = 0

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Take up the state of a checkpoint of the same training."""
        self.optimiser.load(checkpoint.masters, checkpoint.optimiser)
        self.step, self.tokens = checkpoint.step, checkpoint.tokens

    def train(
        self,
        batch_of: Callable[[int], Batch],
        steps: int,
        objective: Objective,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        """Go on from `self.step` until `steps` are done.

        Args:
            batch_of: the batch of a step, counted from 0; the same whenever it is asked for.

        Raises:
            Failure: a loss or a gradient that is not finite.
        """
        self.model.train()
        while self.step < steps:
            loss = self.forward_backward(batch_of(self.step), objective)
            report = self.optim_step(loss)
            for callback in callbacks:
                callback.after_step(self, report)

    def forward_backward(self, batch: Batch, objective: Objective) -> float:
        """Add the gradient of a batch to what has been collected since the last `optim_step`.

        Returns:
            The reported loss: per unit of the objective's weight.

        Raises:
            Failure: nothing in the batch counts.
        """
        weight = sum(objective.weight(micro_batch) for micro_batch in batch.micro_batches)
        if weight <= 0:
            raise Failure("no token of this batch counts towards the loss", where=f"step {self.step + 1}")
        reported = 0.0
        for number, micro_batch in enumerate(batch.micro_batches):
            torch.manual_seed(derived_seed(self.seed, "dropout", self.step, number))
            loss, shown = objective.loss(self.model, micro_batch)
            torch.autograd.backward(loss / weight)
            self.optimiser.collect()
            reported += float(shown) / weight
        self._collected_tokens += batch.tokens
        return reported

    def optim_step(self, loss: float) -> StepReport:
        """Update the weights from the gradient collected so far.

        Args:
            loss: of the batches it was collected from, for the report.

        Raises:
            Failure: the loss or the gradient is not finite; the weights are as they were.
        """
        norm = self.optimiser.clip()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise Failure(
                f"the training diverged: loss {loss}, gradient norm {norm}",
                where=f"step {self.step + 1}",
                hint="lower the learning rates, or lengthen the warm-up",
            )
        factor = learning_rate_factor(self.schedule, self.tokens, self._collected_tokens, self.budget_tokens)
        self.optimiser.step(factor)
        self.step += 1
        self.tokens += self._collected_tokens
        self._collected_tokens = 0
        rate = factor * self.optimiser.settings.matrix_learning_rate
        return StepReport(self.step, self.tokens, loss, norm, rate)
