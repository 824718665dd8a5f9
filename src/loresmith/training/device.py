"""Where a model computes, and in which type of number."""

from __future__ import annotations

import torch

NATIVE_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
"""Names under which torch reports that a processor multiplies matrices of bfloat16 (x86 twice, then Arm)."""


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
    capabilities = torch.cpu.get_capabilities()
    return torch.bfloat16 if any(capabilities.get(name) for name in NATIVE_BF16) else torch.float32
