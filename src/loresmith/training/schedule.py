"""Learning-rate schedules, as a factor on every learning rate, by position in tokens."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.training.quantities import TokenCount

LONGEST_WARMUP = 80_000
"""Tokens of warm-up where the settings do not say."""


class ScheduleSettings(BaseModel):
    """How learning rates rise and fall over the budget."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schedule: Literal["warmup-stable-decay", "cosine", "linear"] = Field(
        default="warmup-stable-decay",
        description="Shape after the warm-up: constant and then linear decay (Hu et al., MiniCPM, 2024), half a "
        "cosine, or linear decay from the start.",
    )
    warmup_tokens: TokenCount | None = Field(
        default=None,
        description="Tokens over which learning rates rise linearly. Left out: 80,000, or a tenth of the budget where "
        "that is less.",
    )
    decay_share: float = Field(
        default=0.5, gt=0, le=1, description="Last part of the budget in which warmup-stable-decay decays."
    )
    final_share: float = Field(default=0.0, ge=0, le=1, description="Learning rate at the end, of its peak.")


def learning_rate_factor(settings: ScheduleSettings, done: int, step: int, budget: int) -> float:
    """The factor for the step that trains on tokens done .. done + step - 1.

    Args:
        done: tokens trained on before this step.
        step: tokens of this step.
        budget: tokens of the whole training.

    Returns:
        A number in 0 .. 1: the lesser of the warm-up's line and the shape's value, so that a warm-up longer than the
        stable part meets the decay on its way.
    """
    warmup = min(1.0, (done + step) / (settings.warmup_tokens or min(LONGEST_WARMUP, budget / 10)))
    left = max(0.0, (budget - done) / budget)
    if settings.schedule == "cosine":
        shape = 0.5 * (1 + math.cos(math.pi * (1 - left)))
    elif settings.schedule == "linear":
        shape = left
    else:
        shape = min(1.0, left / settings.decay_share)
    return min(warmup, settings.final_share + (1 - settings.final_share) * shape)
