"""`pretrain`: causal language modelling."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from loresmith.factory.step import Guess, Input, InputAsset, Result, Step, StepConfig, StepContext
from loresmith.models.architecture import Architecture
from loresmith.training.loop_settings import LoopSettings
from loresmith.training.steps.trained import TRAINED, makes, trained_result


class PretrainConfig(StepConfig, LoopSettings):
    """Causal language modelling on packed tokens, from scratch or from a base."""

    architecture: Architecture | None = Field(
        default=None,
        description="Shape of a new model; left out when there is a `base`, and small when neither is given.",
    )
    isolate_documents: bool = Field(
        default=False,
        description="Whether documents that share a row are kept from seeing one another, each whole in a row where it "
        "fits. Otherwise rows are cut from the stream as it lies, and a row sees all that is in it.",
    )
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
    version=2,
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
    run=_pretrain,
    packages=("torch", "transformers", "safetensors", "numpy"),
    workload=_floating_point_operations,
    guess=_guess,
)
