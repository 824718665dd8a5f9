"""The steps of training, as the factory runs them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from loresmith.factory.step import Check, Guess, Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext
from loresmith.models.architecture import Architecture
from loresmith.training.quantities import TokenCount
from loresmith.training.schedule import ScheduleSettings
from loresmith.training.settings import OptimiserSettings


class PretrainConfig(StepConfig, OptimiserSettings, ScheduleSettings):
    """Causal language modelling on packed tokens, from scratch or from a base."""

    architecture: Architecture | None = Field(
        default=None,
        description="Shape of a new model; left out when there is a `base`, and small when neither is given.",
    )
    budget_tokens: TokenCount = Field(
        default=2_000_000,
        description="Tokens to train on, rounded up to whole batches; more than the split has goes over it again.",
    )
    batch_tokens: TokenCount = Field(default=2048, description="Tokens in an optimiser step.")
    micro_batch_tokens: TokenCount = Field(
        default=2048,
        description="Tokens that go through the model at once; decides memory and speed, the result only by rounding.",
    )
    sequence_length: TokenCount = Field(default=256, description="Tokens in a sequence, and the model's window.")
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        default="auto",
        description="Type that the model computes in, over fp32 masters; auto is bfloat16 where the processor has it.",
    )
    z_loss: float = Field(
        default=0.0, ge=0, description="Weight of the squared log-normaliser; 1e-4 steadies long runs."
    )
    held_out_interval: TokenCount = Field(
        default=500_000,
        description="Tokens between two measurements of held-out bits per byte; one is made at the end.",
    )
    held_out_tokens: TokenCount = Field(
        default=50_000, description="Tokens of the validation split that each of them scores, at most."
    )
    checkpoint_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Seconds between two checkpoints; what a kill loses at most. Not part of the result.",
    )

    @model_validator(mode="after")
    def _whole_sequences(self) -> Self:
        if self.batch_tokens % self.sequence_length:
            raise ValueError(
                f"batch_tokens {self.batch_tokens} is not a multiple of sequence_length {self.sequence_length}"
            )
        return self

    @property
    def steps(self) -> int:
        """Optimiser steps that the budget pays for."""
        return math.ceil(self.budget_tokens / self.batch_tokens)


def _pretrain(context: StepContext, config: PretrainConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.ledger.books import Books
    from loresmith.training.pretrain import pretrain

    base = inputs["base"].directory if "base" in inputs else None
    trained = pretrain(context, config, inputs["tokens"].directory, base)
    return Result(
        outputs={"model": Made(trained.directory, trained.facts)},
        books=Books(accounts=(trained.account,)),
        checks=(Check("model", "export-parity", trained.parity.passed, trained.parity.evidence()),),
    )


def _floating_point_operations(config: PretrainConfig) -> float:
    """6 a weight and token (Kaplan et al. 2020, https://arxiv.org/abs/2001.08361, section 2.1).

    The weights are those of the decoder layers of a family, 12 * layers * width^2, and of an output embedding of 8192
    tokens; a base or another model type counts as the default shape. Forecasts only need the proportion.
    """
    shape = config.architecture or Architecture()
    weights = 12 * shape.layers * shape.width**2 + 8192 * shape.width
    return 6.0 * weights * config.budget_tokens


def _guess(config: PretrainConfig) -> Guess:
    """For two cores with bf16: 150 GFLOP/s, and 20 s to load, measure and save."""
    operations = _floating_point_operations(config)
    weights = operations / (6 * config.budget_tokens)
    return Guess(seconds=20 + operations / 150e9, peak_bytes=int(600e6 + 30 * weights), output_bytes=int(2 * weights))


PRETRAIN = Step(
    name="pretrain",
    version=1,
    summary="Train a causal language model on packed tokens, from scratch or from a base.",
    config=PretrainConfig,
    inputs={
        "tokens": Input("tokens", "Packed tokens and their tokenizer."),
        "base": Input("model", "A model to go on from instead of a new one.", optional=True),
    },
    outputs={"model": Output("model", "A Hugging Face model directory with its tokenizer.")},
    run=_pretrain,
    packages=("torch", "transformers", "safetensors", "numpy"),
    workload=_floating_point_operations,
    guess=_guess,
)
