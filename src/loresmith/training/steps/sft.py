"""`sft`: supervised fine-tuning on conversations."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from loresmith.factory.step import Guess, Input, InputAsset, Result, Step, StepConfig, StepContext
from loresmith.training.loop_settings import LoopSettings
from loresmith.training.quantities import TokenCount
from loresmith.training.steps.trained import TRAINED, join, makes, trained_result

EPOCHS = 3.0


class SftConfig(StepConfig, LoopSettings):
    """Fine-tuning on conversations: the assistant's turns are learnt, the others shown."""

    epochs: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description=f"How often to go over the dataset, in fractions too. {EPOCHS:g} where neither this nor "
        "`budget_tokens` is given.",
    )
    packing: bool = Field(
        default=True,
        description="Whether conversations share rows, without seeing one another; otherwise each has one of its own, "
        "padded to the longest that goes through the model at once.",
    )
    longer_than_window: Literal["refuse", "truncate", "drop"] = Field(
        default="refuse",
        description="What to do with a conversation of more than `sequence_length` tokens and one: stop before the "
        "first step and name it, cut off its end, or leave it out. The books name those that were cut or left out.",
    )
    chat_template: str | None = Field(
        default=None,
        json_schema_extra={"location": True},
        description="A file with the chat template to learn, and to ship the result with; the base's own otherwise.",
    )
    # What has another default than in other trainings, or none before the dataset is known.
    budget_tokens: TokenCount | None = Field(  # type: ignore[assignment]
        default=None, description="Tokens to train on, shown ones and padding included, instead of `epochs`."
    )
    warmup_tokens: TokenCount | None = Field(
        default=None, description="Tokens over which learning rates rise linearly. Left out: a tenth of the training."
    )
    held_out_interval: TokenCount | None = Field(  # type: ignore[assignment]
        default=None,
        description="Tokens between two measurements of held-out bits per byte; one is made before the first step and "
        "one at the end. Left out: a tenth of the training.",
    )
    schedule: Literal["warmup-stable-decay", "cosine", "linear"] = Field(
        default="linear",
        description="Shape after the warm-up: constant and then linear decay, half a cosine, or "
        "linear decay from the start.",
    )
    sequence_length: TokenCount = Field(
        default=512, description="Positions in a row: the longest conversation that fits has one token more."
    )
    batch_tokens: TokenCount = Field(default=4096, description="Positions in an optimiser step.")
    optimiser: Literal["muon", "adamw"] = Field(
        default="adamw", description="What steps the matrices of linear maps; AdamW steps the rest either way."
    )
    adamw_matrix_learning_rate: float = Field(
        default=2e-5, gt=0, description="AdamW's, on the matrices of linear maps, where it steps them."
    )
    matrix_learning_rate: float = Field(
        default=5e-4, gt=0, description="Muon's, on the matrices of linear maps, where it steps them."
    )
    embedding_learning_rate: float = Field(default=2e-5, gt=0, description="AdamW's, on the input embedding.")
    head_learning_rate: float = Field(
        default=2e-5, gt=0, description="AdamW's, on the output embedding where it is not tied to the input's."
    )
    other_learning_rate: float = Field(default=2e-5, gt=0, description="AdamW's, on norms, biases and all else.")
    reference_width: int | None = Field(
        default=None,
        ge=1,
        description="Width at which AdamW's rates on matrices and on the output embedding are meant; at another they "
        "go with 1 / width. None: as written.",
    )
    adam_beta2: float = Field(default=0.999, ge=0, lt=1, description="AdamW's decay of the mean squared gradient.")
    adam_epsilon: float = Field(default=1e-8, gt=0, description="What AdamW adds to the root of that.")

    @model_validator(mode="before")
    @classmethod
    def _three_epochs(cls, settings: Any) -> Any:
        if isinstance(settings, dict) and settings.get("epochs") is None and settings.get("budget_tokens") is None:
            return {**settings, "epochs": EPOCHS}
        return settings

    @model_validator(mode="after")
    def _epochs_or_budget(self) -> SftConfig:
        if self.epochs is not None and self.budget_tokens is not None:
            raise ValueError("epochs and budget_tokens are two ways to say the same; give one of them")
        return self

    def resolved(self, rows: int) -> SftConfig:
        """The same with a number of tokens for everything that is relative to a dataset of so many rows."""
        budget = self.budget_tokens
        if budget is None:
            budget = math.ceil((self.epochs or EPOCHS) * rows) * self.sequence_length
        tenth = max(1, budget // 10)
        return self.model_copy(
            update={
                "budget_tokens": budget,
                "warmup_tokens": self.warmup_tokens or tenth,
                "held_out_interval": self.held_out_interval or max(self.batch_tokens, tenth),
            }
        )


def _sft(context: StepContext, config: SftConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.training.first_model import Base
    from loresmith.training.sft import sft

    base = Base(inputs["base"].directory, inputs["base"].digest)
    return trained_result(sft(context, config, inputs["dataset"].directory, base))


def _fingerprint(config: SftConfig) -> str:
    """Of the chat template; the same for every base's own, which belongs to the base."""
    from loresmith.models.chat_template import read_chat_template

    template = "" if config.chat_template is None else read_chat_template(Path(config.chat_template))
    return hashlib.sha256(template.encode()).hexdigest()


def _restore_template(config: SftConfig, outputs: Mapping[str, Path], folder: Path) -> SftConfig:
    from loresmith.training.sft import TEMPLATE

    trained = outputs["model"] if "model" in outputs else outputs["adapter"]
    template = folder / TEMPLATE
    template.write_bytes((trained / TEMPLATE).read_bytes())
    return config.model_copy(update={"chat_template": str(template)})


SFT = Step(
    name="sft",
    version=3,
    summary="Fine-tune a model on conversations: it learns to write what the assistant says.",
    config=SftConfig,
    inputs={
        "dataset": Input("dataset", "Conversations, from `ingest-messages`."),
        "base": Input("model", "The model to begin with."),
    },
    outputs=TRAINED,
    makes=makes,
    join=join,
    run=_sft,
    fingerprint=_fingerprint,
    restore_sources=_restore_template,
    packages=("torch", "transformers", "tokenizers", "jinja2", "safetensors", "numpy", "peft"),
    guess=lambda _config: Guess(seconds=60, peak_bytes=2 << 30, output_bytes=100 << 20),
)
