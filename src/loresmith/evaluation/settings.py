"""What a person may choose about a measurement."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.evaluation.held_out import GroupBy


class HeldOutSettings(BaseModel):
    """Which text is measured, and how doubt about the numbers is put in numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Literal["validation", "test"] = Field(
        default="test",
        description="The part of the corpus that is measured: `test` for a number to report, `validation` while "
        "settings are still being chosen by it.",
    )
    max_documents: int | None = Field(
        default=None, ge=1, description="Documents measured at most, chosen by hash; all of the split by default."
    )
    max_bytes: int | None = Field(
        default=None, ge=1, description="UTF-8 bytes measured at most, in whole documents; no limit by default."
    )
    group_by: GroupBy = Field(
        default="directory",
        description="What scores are also reported by: the top-level `directory` of a document's path, its `language`, "
        "or `none`.",
    )
    resamples: int = Field(
        default=1000, ge=100, le=100_000, description="Samples of documents that the bootstrap draws for an interval."
    )
    seed: int = Field(
        default=0,
        ge=0,
        description="Of the bootstrap. Not the recipe's seed, so that models trained from different seeds are measured "
        "alike.",
    )


class BaselineSettings(HeldOutSettings):
    """What the baselines may learn from."""

    train_bytes: int = Field(
        default=64 * 2**20,
        ge=1,
        le=2**30,
        description="UTF-8 bytes of training text, in whole documents chosen by hash, that the n-gram model and the "
        "compressor are given. The compressor needs about eleven bytes of memory for each, and a second a megabyte.",
    )
    order: int = Field(default=5, ge=1, le=8, description="Tokens in the longest n-gram.")


class EvaluateSettings(HeldOutSettings):
    """How the model is put to the test."""

    window: int | None = Field(
        default=None,
        ge=1,
        description="Tokens of context at most; by default as many as the model has positions for.",
    )
    stride: int | None = Field(
        default=None,
        ge=1,
        description="Tokens by which windows over a long document advance; half a window by default. Smaller is slower "
        "and gives every token more context.",
    )
    batch_tokens: int = Field(
        default=8192, ge=1, description="Tokens in one forward pass; decides about speed and memory."
    )
    precision: Literal["stored", "bfloat16", "float32"] = Field(
        default="stored",
        description="Numbers that the forward pass is computed in: those that the weights are `stored` in, which is "
        "what ships, or others; probabilities are float32 in any case.",
    )
    samples: int = Field(
        default=8,
        ge=0,
        le=1000,
        description="Held-out documents that the model goes on from, for a person to look at: bodies of documented "
        "functions in Python, the second half of other text.",
    )
    sample_tokens: int = Field(default=96, ge=1, le=4096, description="Tokens written for a sample at most.")
