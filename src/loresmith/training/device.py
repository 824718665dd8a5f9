"""Where a model computes, and in which type of number."""

from __future__ import annotations

import torch


def choose_device() -> torch.device:
    """A GPU where torch sees one, otherwise the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """The type that a recipe's `precision` means on a device.

    Args:
        precision: `bfloat16`, `float32`, or `auto`: bfloat16 where the processor multiplies matrices of it faster than
            those of fp32, as GPUs since Ampere and CPUs with AVX-512 BF16 or AMX do.
    """
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32
