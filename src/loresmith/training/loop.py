"""The training loop. There is one; a method is an objective, and where its batches come from is their maker's business.

    for step in steps:
        for micro_batch in batch:                  # forward_backward
            loss = objective(predictions, micro_batch) / weight of the whole batch
            loss.backward()
        clip the gradient                          # optim_step
        update the weights with the scheduled learning rates
        tell the callbacks

The loss of a batch is its summed loss over its summed weight, whatever way it is cut into micro-batches and spread over
processes: eight of one row give the gradient of one of eight. So are several batches that are given to
`forward_backward` before one `optim_step`: together they are one. The exception is a router's balance: it is of the
tokens that go through the model together, and averaged over micro-batches.

A step whose loss or gradient is not finite leaves the weights as they are and is counted; too many in a row end the
training.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from loresmith.errors import Failure
from loresmith.training.checkpoint import Checkpoint
from loresmith.training.objective import Batch, Objective
from loresmith.training.optimiser import Optimiser
from loresmith.training.predictor import Predictor
from loresmith.training.randomness import derived_seed
from loresmith.training.ranks import Ranks
from loresmith.training.schedule import ScheduleSettings, learning_rate_factor


@dataclass(frozen=True)
class StepReport:
    """What a step did.

    Attributes:
        step: steps done so far, this one included.
        tokens: positions trained on so far, this step's included.
        loss: reported loss of the step's batch, before its update: nats per unit of weight.
        gradient_norm: norm of the whole gradient before clipping.
        learning_rate: of the first group of parameters (Muon's, where there is one); the others rise and fall with it.
        skipped: the loss or the gradient was not finite, and the weights are as they were.
    """

    step: int
    tokens: int
    loss: float
    gradient_norm: float
    learning_rate: float
    skipped: bool = False


@dataclass
class _Collected:
    """What `forward_backward` has added up since the last step, over all processes."""

    batches: int = 0
    weight: float = 0.0
    loss: float = 0.0
    tokens: int = 0
    learnt: Counter[str] = field(default_factory=Counter)


class Callback(Protocol):
    """Something that looks on after each step. It must not change what the next step computes."""

    def after_step(self, trainer: Trainer, report: StepReport) -> None: ...


class Trainer:
    """A model in training.

    Args:
        predictor: the model, ready to predict; its parameters belong to `optimiser`.
        optimiser: see there.
        schedule: of the learning rates.
        budget_tokens: positions of the whole training, for the schedule.
        seed: what is random inside the model (dropout) follows from it, the step and the row.
        ranks: the processes that train together.
        skips_in_a_row: steps without a finite loss and gradient after which the training ends.

    Attributes:
        step: steps done.
        tokens: positions trained on.
        learnt: targets with a weight in the steps that updated the weights, by the name of their source.
        skipped: the numbers of the steps, counted from 0, that were skipped.
        skipping: how many of them were the last ones.
    """

    def __init__(
        self,
        predictor: Predictor,
        optimiser: Optimiser,
        schedule: ScheduleSettings,
        budget_tokens: int,
        seed: int,
        ranks: Ranks = Ranks(),  # noqa: B008 - frozen
        skips_in_a_row: int = 10,
    ) -> None:
        self.predictor = predictor
        self.model = predictor.model
        self.optimiser = optimiser
        self.schedule = schedule
        self.budget_tokens = budget_tokens
        self.seed = seed
        self.ranks = ranks
        self.skips_in_a_row = skips_in_a_row
        self.step = 0
        self.tokens = 0
        self.learnt: Counter[str] = Counter()
        self.skipped: list[int] = []
        self.skipping = 0
        self._collected = _Collected()
        self._not_finite: list[str] = []

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Take up the state of a checkpoint of the same training."""
        self.optimiser.load(checkpoint.masters, checkpoint.optimiser)
        self.step, self.tokens = checkpoint.step, checkpoint.tokens
        self.learnt, self.skipped = Counter(checkpoint.learnt), list(checkpoint.skipped)

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
            Failure: `skips_in_a_row` steps one after the other had a loss or a gradient that is not finite.
        """
        self.predictor.train()
        while self.step < steps:
            self.forward_backward(batch_of(self.step), objective)
            report = self.optim_step()
            for callback in callbacks:
                callback.after_step(self, report)
            if self.skipping >= self.skips_in_a_row:
                raise self._diverged(report)

    def forward_backward(self, batch: Batch, objective: Objective) -> float:
        """Add a batch to those collected since the last `optim_step`; the gradient is of the mean over all of them.

        Returns:
            The batch's reported loss: per unit of the objective's weight, over all processes.

        Raises:
            Failure: nothing in the batch counts. Whatever is raised, nothing is collected afterwards.
        """
        try:
            return self._forward_backward(batch, objective)
        except BaseException:
            self.drop_collected()
            raise

    def _forward_backward(self, batch: Batch, objective: Objective) -> float:
        collected = self._collected
        own = sum(objective.weight(micro_batch) for micro_batch in batch.micro_batches)
        sources = sorted(batch.learnt)
        weight, *learnt = self.ranks.sum([own, *(batch.learnt[source] for source in sources)])
        if weight <= 0:
            raise Failure("no token of this batch counts towards the loss", where=f"step {self.step + 1}")
        if collected.batches:
            self.optimiser.scale(collected.weight / (collected.weight + weight))
        seed = derived_seed(self.seed, "dropout", self.step, collected.batches)
        reported = 0.0
        for micro_batch in batch.micro_batches:
            torch.manual_seed(derived_seed(seed, "micro-batch", micro_batch.first_row))
            predictions = self.predictor.predict(micro_batch, seed)
            loss, shown = objective.loss(predictions, micro_batch)
            if predictions.auxiliary is not None:
                loss = loss + predictions.auxiliary * objective.weight(micro_batch)
            torch.autograd.backward(loss / (collected.weight + weight))
            self.optimiser.collect()
            reported += float(shown)
        (summed,) = self.ranks.sum([reported])
        collected.batches += 1
        collected.weight += weight
        collected.loss += summed
        collected.tokens += batch.tokens
        collected.learnt.update({source: round(count) for source, count in zip(sources, learnt, strict=True)})
        return summed / weight

    def optim_step(self) -> StepReport:
        """Update the weights from the gradient collected so far, unless it or the loss is not finite.

        Raises:
            Failure: nothing was collected.
        """
        collected = self._collected
        if not collected.batches:
            raise Failure("no gradient was collected for this step", where=f"step {self.step + 1}")
        loss = collected.loss / collected.weight
        norm = self.optimiser.clip()
        factor = learning_rate_factor(self.schedule, self.tokens, collected.tokens, self.budget_tokens)
        finite = math.isfinite(loss) and math.isfinite(norm)
        if finite:
            self.optimiser.step(factor)
            self.learnt.update(collected.learnt)
            self.skipping = 0
        else:
            self._not_finite = self.optimiser.not_finite()
            self.skipped.append(self.step)
            self.skipping += 1
        self.step += 1
        self.tokens += collected.tokens
        self.drop_collected()
        rate = factor * self.optimiser.shown_learning_rate
        return StepReport(self.step, self.tokens, loss, norm, rate, skipped=not finite)

    def drop_collected(self) -> None:
        """Forget what `forward_backward` has collected."""
        self.optimiser.forget()
        self._collected = _Collected()

    def _diverged(self, report: StepReport) -> Failure:
        culprits = f"; not finite: the gradient of {', '.join(self._not_finite[:3])}" if self._not_finite else ""
        return Failure(
            f"the training diverged: {self.skipping} steps in a row had no finite loss and gradient, the last a loss "
            f"of {report.loss} and a gradient norm of {report.gradient_norm} at a learning rate of "
            f"{report.learning_rate:.3g}{culprits}",
            where=f"step {report.step - self.skipping + 1} and on",
            hint="lower the learning rates, lengthen the warm-up, or set z_loss to 1e-4, and train anew; the last "
            "checkpoint is from before these steps, and an unchanged recipe goes on from there",
        )
