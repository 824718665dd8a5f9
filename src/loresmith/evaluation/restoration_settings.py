"""What a person may choose about a measurement of restored text."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.models.fill_in_the_middle import Order


class RestorationSettings(BaseModel):
    """Which text is damaged, how much of it, and who is asked to restore it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Literal["validation", "test"] = Field(
        default="test",
        description="The part of the corpus that is damaged: `test` for a number to report, `validation` while "
        "settings are still being chosen by it.",
    )
    max_documents: int = Field(default=100, ge=1, description="Documents damaged at most, chosen by hash.")
    gaps: int = Field(default=4, ge=1, le=1000, description="Gaps in a document, each restored with all else intact.")
    longest: int = Field(
        default=8,
        ge=1,
        le=1000,
        description="Characters knocked out at most, every length from 1 as likely; a gap lies in one line and is not "
        "all white space.",
    )
    context: int = Field(
        default=1000, ge=1, description="Characters that are shown of each side; the model's window may cut further."
    )
    order: Order = Field(
        default="spm",
        description="The order in which the model is shown the two sides: prefix, suffix, middle, or suffix, prefix, "
        "middle.",
    )
    baseline_order: int = Field(default=5, ge=2, le=8, description="Characters in the baseline's longest n-gram.")
    baseline_beam: int = Field(
        default=128, ge=1, le=10_000, description="Fillings of each length that the baseline's search keeps."
    )
    train_bytes: int = Field(
        default=8 * 2**20,
        ge=1,
        le=2**28,
        description="UTF-8 bytes of training text, in whole documents chosen by hash, that the baseline counts. It "
        "needs about a hundred bytes of memory for each.",
    )
    resamples: int = Field(
        default=1000, ge=100, le=100_000, description="Samples of documents that the bootstrap draws for an interval."
    )
    seed: int = Field(
        default=0, ge=0, description="Of the gaps and the bootstrap. Not the recipe's, so that models are asked alike."
    )
