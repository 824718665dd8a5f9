"""What a recipe says about the optimiser."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class OptimiserSettings(BaseModel):
    """Muon on matrices, AdamW on the rest; learning rates are of the update, before the schedule's factor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    optimiser: Literal["muon", "adamw"] = Field(
        default="muon", description="What steps the matrices of linear maps; AdamW steps the rest either way."
    )
    matrix_learning_rate: float = Field(
        default=0.02,
        gt=0,
        description="Muon's, on the matrices of linear maps; updates have a spectral norm near one before it.",
    )
    adamw_matrix_learning_rate: float = Field(
        default=0.004, gt=0, description="AdamW's, on the matrices of linear maps, where it steps them."
    )
    embedding_learning_rate: float = Field(default=0.004, gt=0, description="AdamW's, on the input embedding.")
    head_learning_rate: float = Field(
        default=0.004, gt=0, description="AdamW's, on the output embedding where it is not tied to the input's."
    )
    adapter_learning_rate: float = Field(
        default=2e-4,
        gt=0,
        description="AdamW's, on what an adapter adds (Hu et al., LoRA, 2021, table 11).",
    )
    reference_width: int | None = Field(
        default=256,
        ge=1,
        description="Width at which AdamW's rates on matrices and on the output embedding are meant; at another they "
        "go with 1 / width, so that the best rate of a small model is that of a large one. None: as written.",
    )
    other_learning_rate: float = Field(default=0.004, gt=0, description="AdamW's, on norms, biases and all else.")
    matrix_weight_decay: float = Field(
        default=0.0, ge=0, description="Decoupled decay of the matrices, per step and unit of learning rate."
    )
    embedding_weight_decay: float = Field(default=0.0, ge=0, description="The same for both embeddings.")
    momentum: float = Field(default=0.95, ge=0, lt=1, description="Muon's Nesterov momentum.")
    newton_schulz_steps: int = Field(
        default=5, ge=1, le=20, description="Iterations by which Muon makes an update orthogonal."
    )
    adam_beta1: float = Field(default=0.9, ge=0, lt=1, description="AdamW's decay of the mean gradient.")
    adam_beta2: float = Field(default=0.95, ge=0, lt=1, description="AdamW's decay of the mean squared gradient.")
    adam_epsilon: float = Field(default=1e-10, gt=0, description="What AdamW adds to the root of that.")
    gradient_clip: float = Field(
        default=1.0,
        gt=0,
        description="Largest norm of the gradient of all parameters together; larger ones are scaled.",
    )
    average_decay: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Decay, per step, of an exponential moving average of the weights, which then is the model that is "
        "saved; 0 keeps none. 0.999 suits runs of ten thousand steps.",
    )
