"""What a training method tells the loop: which tokens count, and their loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn


@dataclass(frozen=True)
class MicroBatch:
    """As many sequences as go through the model at once.

    Attributes:
        inputs: int64 ids (B, T) that the model sees.
        targets: int64 ids (B, T) that it should say next.
        weights: fp32 (B, T), how much each target counts; zero masks it.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Batch:
    """What one optimiser step learns from, in micro-batches.

    Attributes:
        micro_batches: their gradients are summed before the step.
        tokens: targets in the batch, counted or not; the unit in which budgets are kept.
    """

    micro_batches: tuple[MicroBatch, ...]
    tokens: int


class Objective(Protocol):
    """A training method. The loop divides the summed loss of a batch by its summed weight."""

    def weight(self, micro_batch: MicroBatch) -> float:
        """What this micro-batch adds to the denominator, known before anything is computed."""

    def loss(self, model: nn.Module, micro_batch: MicroBatch) -> tuple[Tensor, Tensor]:
        """The loss to be minimised, summed over the micro-batch, not averaged; and the sum to be reported."""
