"""`distil`: a student learns what a teacher thinks of each next token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from loresmith.factory.step import Input, InputAsset, Result, Step, StepConfig, StepContext
from loresmith.training.loop_settings import LoopSettings
from loresmith.training.steps.forecast import training_guess, training_operations
from loresmith.training.steps.trained import TRAINED, join, makes, trained_result
from loresmith.training.token_settings import TokenSettings


class DistilConfig(StepConfig, LoopSettings, TokenSettings):
    """Distillation from a teacher that reads the same tokens (Hinton et al. 2015; Gu et al. 2024)."""

    divergence: Literal["forward", "reverse"] = Field(
        default="forward",
        description="`forward`, KL(teacher || student): the student covers all that the teacher allows; `reverse`, "
        "KL(student || teacher): it keeps to what the teacher likes best.",
    )
    likeliest: int = Field(
        default=64,
        ge=1,
        description="Tokens of the teacher's distribution that are kept at each position; all others are one outcome.",
    )
    temperature: float = Field(
        default=1.0,
        gt=0,
        description="By which the logits of both are divided; above 1 what the teacher holds for unlikely counts more.",
    )
    soft_share: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="Share of the divergence in the loss; the rest is the cross-entropy of the text itself.",
    )


def _distil(context: StepContext, config: DistilConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.training.distil import distil
    from loresmith.training.first_model import Base

    base = Base(inputs["base"].directory, inputs["base"].digest) if "base" in inputs else None
    return trained_result(distil(context, config, inputs["tokens"].directory, inputs["teacher"].directory, base))


def _operations(config: DistilConfig) -> float:
    """As if the teacher, which only reads, were three times the student."""
    return 2 * training_operations(config.architecture, config.budget_tokens)


DISTIL = Step(
    name="distil",
    version=3,
    summary="Train a student on packed tokens and on what a teacher thinks of each, from scratch or from a base.",
    config=DistilConfig,
    inputs={
        "tokens": Input("tokens", "Packed tokens and their tokenizer."),
        "teacher": Input("model", "The model to learn from; of the same tokenizer."),
        "base": Input("model", "A student to go on from instead of a new one.", optional=True),
    },
    outputs=TRAINED,
    makes=makes,
    join=join,
    run=_distil,
    packages=("torch", "transformers", "tokenizers", "safetensors", "numpy", "peft"),
    workload=_operations,
    guess=lambda config: training_guess(_operations(config), config.budget_tokens),
)
