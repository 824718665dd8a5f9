"""Causal language modelling: predict each token from those before it."""

from __future__ import annotations

from torch import Tensor

from loresmith.training.objective import MicroBatch
from loresmith.training.predictor import Predictions


class CausalLM:
    """- sum_t w_t log p(x_t | x_<t).

    Args:
        z_loss: weight of the squared log-normaliser; keeps logits from drifting in long bf16 runs.
    """

    def __init__(self, z_loss: float = 0.0) -> None:
        self.z_loss = z_loss

    def weight(self, micro_batch: MicroBatch) -> float:
        return float(micro_batch.weights.sum())

    def loss(self, predictions: Predictions, micro_batch: MicroBatch) -> tuple[Tensor, Tensor]:
        return predictions.cross_entropy(micro_batch.targets.flatten(), micro_batch.weights.flatten(), self.z_loss)
