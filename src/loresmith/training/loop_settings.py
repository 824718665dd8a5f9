"""What every training step's recipe says about the loop."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from loresmith.models.adapter_settings import AdapterSettings
from loresmith.training.quantities import TokenCount
from loresmith.training.schedule import ScheduleSettings
from loresmith.training.settings import OptimiserSettings


class LoopSettings(OptimiserSettings, ScheduleSettings):
    """How long, in what portions, in which numbers, and how often it is looked at and saved."""

    budget_tokens: TokenCount = Field(
        default=2_000_000,
        description="Tokens to train on, rounded up to whole batches; more than the split has goes over it again.",
    )
    batch_tokens: TokenCount = Field(default=2048, description="Tokens in an optimiser step.")
    micro_batch_tokens: TokenCount = Field(
        default=2048,
        description="Tokens that go through the model at once; decides memory and speed, the result only by "
        "rounding (and by a router's balance, which is of the tokens that go through together).",
    )
    sequence_length: TokenCount = Field(default=256, description="Tokens in a row, and the model's window.")
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        default="auto",
        description="Type that the model computes in, over fp32 masters; auto is bfloat16 where the processor has it.",
    )
    z_loss: float = Field(
        default=0.0, ge=0, description="Weight of the squared log-normaliser; 1e-4 steadies long runs."
    )
    adapter: AdapterSettings | None = Field(
        default=None, description="Train a low-rank adapter of the base and leave the base as it is."
    )
    activation_checkpointing: bool = Field(
        default=False,
        description="Keep no activations inside a layer and compute them again in the backward pass: a third more time "
        "for a fraction of the memory.",
    )
    compile: Literal["off", "on", "auto"] = Field(
        default="off",
        description="torch.compile of each layer. auto measures a few steps of both and keeps the faster; a training "
        "that goes on keeps what it began with.",
    )
    held_out_interval: TokenCount = Field(
        default=500_000,
        description="Tokens between two measurements of held-out bits per byte; one is made at the end.",
    )
    held_out_tokens: TokenCount = Field(
        default=50_000, description="Tokens of the validation split that each of them scores, at most."
    )
    skips_in_a_row: int = Field(
        default=10,
        ge=1,
        description="Steps one after the other without a finite loss and gradient, each of which is skipped, after "
        "which the training ends.",
    )
    checkpoint_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Seconds between two checkpoints; what a kill loses at most. Not part of the result.",
    )
    keep_checkpoints: int = Field(default=2, ge=1, description="How many of the newest checkpoints stay.")
    keep_every: int | None = Field(
        default=None, ge=1, description="Also keep the checkpoint of every so many steps, for good."
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
