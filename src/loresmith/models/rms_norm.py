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
        y, inverse_rms = torch.ops.aten._fused_rms_norm(x, [x.shape[-1]], weight_D, epsilon)
        ctx.save_for_backward(x, weight_D, inverse_rms)
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (dy,) = gradients
        x, weight_D, inverse_rms = ctx.saved_tensors
        inverse_rms = inverse_rms.to(x.dtype)
        h = x * inverse_rms
        dy_h = dy * h
        weight_gradient = dy_h.reshape(-1, x.shape[-1]).sum(0)
        projection = (dy_h * weight_D).mean(-1, keepdim=True).neg_()
        dx = torch.addcmul(dy * weight_D, h, projection).mul_(inverse_rms)
        return dx, weight_gradient, None


def rms_norm(x: Tensor, weight_D: Tensor, epsilon: float) -> Tensor:
    """Normalise the last dimension of `x` (..., D) to a root mean square of one and scale it by `weight_D`."""
    y: Tensor = _RMSNorm.apply(x, weight_D, epsilon)  # type: ignore[no-untyped-call]
    return y
