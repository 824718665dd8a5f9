"""Whether a model that was rewritten computes what it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest difference of two logits, relative to the largest logit (or to one, if that is smaller): the rounding of sums
that are taken in another order. Where nothing but the bytes' place has changed, it is zero in fact."""

TOKENS = 64


@dataclass(frozen=True)
class ExpectedLogits:
    """What a model computes, to be compared with what it does later: (1, T) ids, (1, T, V) logits."""

    ids: Tensor
    logits: Tensor

    def compare(self, model: PreTrainedModel, said_of: str) -> dict[str, Any]:
        """The evidence of a receipt: whether the model gives the same logits to the tokens that there were.

        Args:
            said_of: what it is compared with, in words.
        """
        logits_1TV = _logits(model, self.ids)[..., : self.logits.shape[-1]]
        difference = float((logits_1TV - self.logits).abs().max())
        largest = float(self.logits.abs().max())
        tolerance = TOLERANCE[model.dtype]
        return {
            "passed": difference <= tolerance * max(1.0, largest),
            "largest_difference": difference,
            "largest_logit": largest,
            "tokens": self.ids.numel(),
            "tolerance": tolerance,
            "compared_with": said_of,
        }


def expected_logits(model: PreTrainedModel, vocabulary_size: int) -> ExpectedLogits:
    """What a model computes on tokens from all over its vocabulary, whose ids are below `vocabulary_size`."""
    ids_1T = torch.linspace(0, vocabulary_size - 1, TOKENS).long()[None]
    return ExpectedLogits(ids_1T, _logits(model, ids_1T)[..., :vocabulary_size])


@torch.no_grad()
def _logits(model: PreTrainedModel, ids_1T: Tensor) -> Tensor:
    logits_1TV: Tensor = model(input_ids=ids_1T, use_cache=False).logits.float()
    return logits_1TV
