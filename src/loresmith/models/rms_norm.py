"""RMSNorm in few passes over memory, forward and backward.

Zhang and Sennrich, Root Mean Square Layer Normalization (2019): with r = 1 / sqrt(mean(x^2) + eps) and h = x r,

    y = h * w        dw = sum(dy * h)        dx = r * (dy * w - h * mean(dy * w * h))

transformers computes it in fp32, in a dozen passes; this one computes the statistics in fp32 and the rest in the type
of the input.

Legend: ... any leading dimensions, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_D: Tensor, epsilon: float) -> Tensor:
        statistics = torch.float32 if x.dtype in (torch.bfloat16, torch.float16) else x.dtype
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=statistics)
        inverse_rms = norm.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_().to(x.dtype)
        h = x * inverse_rms
        ctx.save_for_backward(h, weight_D, inverse_rms)
        y: Tensor = h * weight_D
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        (dy,) = gradients
        h, weight_D, inverse_rms = ctx.saved_tensors
        dy_h = dy * h
        weight_gradient = dy_h.flatten(0, -2).sum(0) if ctx.needs_input_grad[1] else None
        projection = (dy_h * weight_D).mean(-1, keepdim=True).neg_()
        dx = torch.addcmul(dy * weight_D, h, projection).mul_(inverse_rms)
        return dx, weight_gradient, None


def rms_norm(x: Tensor, weight_D: Tensor, epsilon: float) -> Tensor:
    """Normalise the last dimension of `x` (..., D) to a root mean square of one and scale it by `weight_D`."""
    y: Tensor = _RMSNorm.apply(x, weight_D, epsilon)  # type: ignore[no-untyped-call]
    return y
