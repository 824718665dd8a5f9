"""Linear maps in transformers' models: torch's, and GPT-2's, whose matrix lies the other way round."""

from __future__ import annotations

from typing import Any

from torch import nn

from loresmith.models.offline import transformers

Conv1D: type[nn.Module] = transformers.pytorch_utils.Conv1D
"""A linear map of GPT-2 and its kin: its matrix is stored as (inputs, outputs)."""

LINEAR_MAPS = (nn.Linear, Conv1D)


def inputs_of(linear_map: Any) -> int:
    """How many numbers a linear map takes in: the fan_in of its matrix."""
    return int(linear_map.weight.shape[0 if isinstance(linear_map, Conv1D) else 1])
