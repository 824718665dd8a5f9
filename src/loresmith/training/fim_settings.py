"""What a recipe says about learning to fill in the middle."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class FimSettings(BaseModel):
    """Pieces of documents of which some are learnt with their middle last (Bavarian et al. 2022)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of the pieces that are turned round; the others are read from left to right. As much as 0.9 "
        "costs next to nothing in left-to-right prediction; 0 turns none.",
    )
    spm_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of those in the order suffix, prefix, middle; the others are in the order prefix, suffix, "
        "middle, which other programs ask models in more often.",
    )
    level: Literal["document", "line"] = Field(
        default="document",
        description="`document`: both cuts fall anywhere in the piece, at any character; `line`: both in one line, for "
        "damaged text.",
    )
    longest_middle: int | None = Field(
        default=None,
        ge=1,
        description="Characters of the middle at most, every length up to it as likely; no limit by default.",
    )
    longest_piece: int | None = Field(
        default=None,
        ge=1,
        description="Tokens of a piece at most; as many as fit in a row by default. Shorter pieces give more gaps for "
        "the same text, and less to each side of them.",
    )
    middle_weight: float = Field(
        default=1.0,
        gt=0,
        description="How much each token of the middle counts, and the end after it, beside one of the sides. Where "
        "the middle is a few characters of a page, more than 1 teaches it sooner.",
    )
