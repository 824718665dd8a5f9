"""silu(gate) * up in few passes over memory, forward and backward.

Shazeer, GLU Variants Improve Transformer (2020). With s = sigmoid(gate) and a = gate * s = silu(gate),

    y = a * up        d_up = dy * a        d_gate = dy * up * (s + a - a * s)

Only the two inputs are kept for the backward pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return torch.nn.functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (dy,) = gradients
        gate, up = ctx.saved_tensors
        s = torch.sigmoid(gate)
        a = gate * s
        d_gate = torch.addcmul(a, a, s, value=-1.0).add_(s).mul_(up).mul_(dy)
        return d_gate, dy * a


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) * up, elementwise."""
    y: Tensor = _SwiGLU.apply(gate, up)  # type: ignore[no-untyped-call]
    return y
