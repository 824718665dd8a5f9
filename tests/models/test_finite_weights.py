"""Weights that are no numbers are found, wherever in a tensor they stand and whatever its type."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from loresmith.errors import UserError
from loresmith.models.base_weights import require_finite

SIZES = (1, 2, 7, 16, 33, 4097, 70_001)
"""Short, odd and long ones: what a processor takes at a time, and what is left over."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.float8_e5m2])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_one_number_that_is_none_is_found(tmp_path: Path, dtype: torch.dtype, wrong: float) -> None:
    file = tmp_path / "weights.safetensors"
    for size in SIZES:
        for place in {0, size // 2, size - 1}:
            weights = torch.linspace(-3, 3, size)
            weights[place] = wrong
            save_file({"good": torch.ones(3), "weights": weights.to(dtype)}, file)
            with pytest.raises(UserError, match="NaN or infinity, in weights"):
                require_finite([file])


def test_the_largest_numbers_there_are_and_none_at_all_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    types = (torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn)
    largest = {str(dtype): torch.full((64, 64), torch.finfo(dtype).max).to(dtype) for dtype in types}
    save_file({**largest, "none": torch.empty(0, 4), "numbers": torch.arange(4)}, file)
    require_finite([file])
