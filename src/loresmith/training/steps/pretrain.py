"""`pretrain`: causal language modelling."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from loresmith.factory.step import Input, InputAsset, Result, Step, StepConfig, StepContext
from loresmith.training.loop_settings import LoopSettings
from loresmith.training.steps.forecast import training_guess, training_operations
from loresmith.training.steps.trained import TRAINED, join, makes, trained_result
from loresmith.training.token_settings import TokenSettings


class PretrainConfig(StepConfig, LoopSettings, TokenSettings):
    """Causal language modelling on packed tokens, from scratch or from a base."""

    replay_share: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of the rows that comes from `replay`, against forgetting: a few percent go far (Ibrahim et "
        "al., Simple and Scalable Strategies to Continually Pre-train Large Language Models, 2024).",
    )


def _pretrain(context: StepContext, config: PretrainConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.training.pretrain import Base, pretrain

    base = Base(inputs["base"].directory, inputs["base"].digest) if "base" in inputs else None
    replay = inputs["replay"].directory if "replay" in inputs else None
    saved = pretrain(context, config, inputs["tokens"].directory, base, replay)
    return trained_result(saved)


def _operations(config: PretrainConfig) -> float:
    return training_operations(config.architecture, config.budget_tokens)


PRETRAIN = Step(
    name="pretrain",
    version=4,
    summary="Train a causal language model on packed tokens, from scratch or from a base.",
    config=PretrainConfig,
    inputs={
        "tokens": Input("tokens", "Packed tokens and their tokenizer."),
        "base": Input("model", "A model to go on from instead of a new one.", optional=True),
        "replay": Input(
            "tokens", "General text, to mix in and to measure what is forgotten; of the same tokenizer.", optional=True
        ),
    },
    outputs=TRAINED,
    makes=makes,
    join=join,
    run=_pretrain,
    packages=("torch", "transformers", "tokenizers", "safetensors", "numpy", "peft"),
    workload=_operations,
    guess=lambda config: training_guess(_operations(config), config.budget_tokens),
)
