"""What a training on tokens will take, before one has ever run here."""

from __future__ import annotations

from loresmith.factory.step import Guess
from loresmith.models.architecture import Architecture
from loresmith.models.families import count

VOCABULARY = 8192
"""Tokens of the embedding that a forecast reckons with: the tokenizer is not there yet."""


def training_operations(architecture: Architecture | None, tokens: int) -> float:
    """6 a weight and token (Kaplan et al. 2020, https://arxiv.org/abs/2001.08361, section 2.1).

    The weights are those that a token meets (its own experts only), the input embedding excepted; a base or another
    model type counts as the default shape. Forecasts only need the proportion.
    """
    shape = architecture or Architecture()
    looked_up = 0 if shape.tied_embeddings else VOCABULARY * shape.width
    return 6.0 * (count(shape, VOCABULARY).active - looked_up) * tokens


def training_guess(operations: float, tokens: int) -> Guess:
    """For two cores with bf16: 150 GFLOP/s, and 20 s to load, measure and save."""
    weights = operations / (6 * tokens)
    return Guess(seconds=20 + operations / 150e9, peak_bytes=int(600e6 + 30 * weights), output_bytes=int(2 * weights))
