"""What a recipe says about an adapter."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Variant = Literal["lora", "dora", "rslora"]


class AdapterSettings(BaseModel):
    """A low-rank adapter: the base is frozen, and the update of each chosen matrix is a product of two thin ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: Variant = Field(
        default="lora",
        description="`lora` adds alpha / rank * B A to a matrix (Hu et al. 2021). `rslora` scales by alpha / "
        "sqrt(rank), so that high ranks learn as fast as low ones (Kalajdzievski 2023). `dora` learns the length of "
        "each row apart from its direction (Liu et al. 2024): nearer to full training, and slower.",
    )
    rank: int = Field(
        default=16,
        ge=1,
        le=4096,
        description="Rows of A and columns of B, for each expert of a mixture too; memory and file grow with it.",
    )
    alpha: int = Field(
        default=32,
        ge=1,
        description="Scale of the update: it is multiplied by alpha / rank, or alpha / sqrt(rank) for `rslora`.",
    )
    dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of an adapter's inputs that are set to zero while training; 0.05 to 0.1 where data are few.",
    )
    target_modules: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Matrices to adapt, by name or by the end of it, such as `[q_proj, v_proj]`. Default: every linear "
        "map of the decoder but the head, and the stacked matrices of a mixture's experts; its router stays as it is.",
    )
    quantise_base: bool = Field(
        default=False,
        description="QLoRA: keep the frozen base in 4 bits (NF4, Dettmers et al. 2023) while training, in a quarter of "
        "the memory of bfloat16. Needs an NVIDIA GPU and the extra `loresmith[qlora]`.",
    )
