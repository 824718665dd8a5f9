"""What a recipe says about the optimiser."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class OptimiserSettings(BaseModel):
    """Muon on matrices, AdamW on the rest; learning rates are of the update, before the schedule's factor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    matrix_learning_rate: float = Field(
        default=0.02,
        gt=0,
        description="Muon's, on the matrices of linear maps; updates have a spectral norm near one before it.",
    )
    embedding_learning_rate: float = Field(default=0.004, gt=0, description="AdamW's, on the input embedding.")
    head_learning_rate: float = Field(
        default=0.004, gt=0, description="AdamW's, on the output embedding where it is not tied to the input's."
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
    gradient_clip: float = Field(
        default=1.0,
        gt=0,
        description="Largest norm of the gradient of all parameters together; larger ones are scaled.",
    )
