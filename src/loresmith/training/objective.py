"""What a training method tells the loop: which tokens count, and their loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from loresmith.training.predictor import Predictions


@dataclass(frozen=True)
class MicroBatch:
    """As many rows as go through the model at once.

    Attributes:
        inputs: int64 ids (B, T) that the model sees.
        targets: int64 ids (B, T) that it should say next.
        weights: fp32 (B, T), how much each target counts; zero masks it.
        documents: int64 (B, T), the number within its row of the document that a position belongs to, where rows hold
            documents that must not see one another; None where a row is one context.
        extras: tensors (B, T, ...) that an objective asks for by name, such as a teacher's log-probabilities. Whoever
            makes batches puts them there.
        first_row: number of the first row in the batch of all processes; what is random in the model is drawn by it.
        window: positions that the longest row of a training has, where this is known.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor
    documents: Tensor | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    first_row: int = 0
    window: int = 0


@dataclass(frozen=True)
class Batch:
    """What one optimiser step learns from, in micro-batches.

    Attributes:
        micro_batches: their gradients are summed before the step. Of several processes each has its own part.
        tokens: positions in the batch of all processes, counted or not; the unit in which budgets are kept.
        learnt: targets with a weight in this process's part, by the name of their source.
    """

    micro_batches: tuple[MicroBatch, ...]
    tokens: int
    learnt: Mapping[str, int] = field(default_factory=dict)


class Objective(Protocol):
    """A training method. The loop divides the summed loss of a batch by its summed weight."""

    def weight(self, micro_batch: MicroBatch) -> float:
        """What this micro-batch adds to the denominator, known before anything is computed."""

    def loss(self, predictions: Predictions, micro_batch: MicroBatch) -> tuple[Tensor, Tensor]:
        """The loss to be minimised, summed over the micro-batch, not averaged; and the sum to be reported."""
