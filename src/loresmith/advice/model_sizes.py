"""Sizes of models against the text at hand: what each needs, what it would get, what that takes on this machine."""

from __future__ import annotations

from pydantic import Field

from loresmith.advice.laws import (
    BESIROGLU,
    EPOCHS_WORTHWHILE,
    HOFFMANN,
    TOKENS_PER_PARAMETER,
    constrained_loss,
    worth_of_tokens,
)
from loresmith.advice.part import Part
from loresmith.models.architecture import Architecture
from loresmith.models.families import count
from loresmith.models.presets import PRESETS

SIZES = (
    *("qwen3-1m", "qwen3-6m", "qwen3-12m", "qwen3-46m", "qwen3-110m", "qwen3-340m"),
    *("qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b"),
)
"""Named sizes of one dense family, from small to large."""

BYTES_PER_PARAMETER = 18
"""While all of a model is trained: weights in bfloat16 and in fp32, gradients in both, Muon's moment on matrices and
AdamW's two on the rest; see `loresmith models describe`, which counts exactly."""
BESIDES = 1 << 30
"""Bytes for the program, data and activations of small batches."""
OPERATIONS = 6
"""A weight and token: Kaplan et al., Scaling Laws for Neural Language Models, 2020, section 2.1."""


class ModelSize(Part):
    """One size."""

    preset: str = Field(description="Its name; `loresmith models presets` lists them.")
    parameters: int = Field(description="All of them.")
    tokens_wanted: int = Field(description="20 tokens a parameter (Hoffmann et al. 2022).")
    tokens_by_chinchilla: float = Field(description="By that paper's parametric law.")
    tokens_by_correction: float = Field(description="By the law as Besiroglu et al. 2024 corrected it.")
    share: float = Field(description="The different tokens at hand, of those wanted; 1 and more is enough.")
    epochs: float = Field(description="How often the text would have to be gone over to reach the tokens wanted.")
    worth: float = Field(
        description="What that is worth, of as many different tokens, from 0 to 1 (D' / D, Muennighoff et al. 2023)."
    )
    loss: float | None = Field(
        description="Nats per token that the data-constrained law says for these epochs, four at most, on the web text "
        "it was fitted on: to compare sizes by, not to expect. Null without text."
    )
    hours: float = Field(
        description="Hours on this machine to train on the tokens wanted, or four epochs if that is less."
    )
    hours_once: float = Field(description="Hours on this machine to go over the different tokens once.")
    memory_bytes: int = Field(description="Memory to train all of it.")
    fits: bool = Field(description="Whether this machine has that much.")
    enough: str = Field(description='"enough", "enough if repeated" (up to four times), or "too little".')


def model_sizes(different: int, flops_per_second: float, memory_bytes: int) -> tuple[ModelSize, ...]:
    """The table.

    Args:
        different: tokens without copies.
        flops_per_second: of a training here.
        memory_bytes: of the machine.
    """
    return tuple(_size(name, different, flops_per_second, memory_bytes) for name in SIZES)


def largest_trainable(memory_bytes: int) -> int:
    """Parameters of the largest model that can be trained whole in so much memory."""
    return max(0, memory_bytes - BESIDES) // BYTES_PER_PARAMETER


def _size(name: str, different: int, flops_per_second: float, memory_bytes: int) -> ModelSize:
    preset = PRESETS[name]
    parameters = count(Architecture(preset=name), preset.vocabulary).total
    wanted = TOKENS_PER_PARAMETER * parameters
    epochs = wanted / different if different else float("inf")
    seen = min(wanted, EPOCHS_WORTHWHILE * different)
    needed = BYTES_PER_PARAMETER * parameters + BESIDES
    repeated = "enough if repeated" if epochs <= EPOCHS_WORTHWHILE else "too little"
    return ModelSize(
        preset=name,
        parameters=parameters,
        tokens_wanted=wanted,
        tokens_by_chinchilla=HOFFMANN.tokens_for(parameters),
        tokens_by_correction=BESIROGLU.tokens_for(parameters),
        share=different / wanted,
        epochs=min(epochs, 1e9),
        worth=worth_of_tokens(different, wanted) / wanted if different else 0.0,
        loss=constrained_loss(parameters, different, seen) if different > 1 else None,
        hours=OPERATIONS * parameters * seen / flops_per_second / 3600,
        hours_once=OPERATIONS * parameters * different / flops_per_second / 3600,
        memory_bytes=needed,
        fits=needed <= memory_bytes,
        enough="enough" if epochs <= 1 else repeated,
    )
