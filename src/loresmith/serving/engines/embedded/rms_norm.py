"""RMSNorm (Zhang and Sennrich 2019): x / sqrt(mean(x^2) + epsilon) * weight, rounded once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from loresmith.serving.engines.embedded.row_code import norm_code
from loresmith.serving.engines.embedded.vector_code import Stored, bits_of, stored_as


class RmsNorm:
    """A model's norm.

    Args:
        module: transformers' own.

    Attributes:
        full_weight: in fp32.
    """

    def __init__(self, module: Any) -> None:
        self._weight = module.weight.detach()
        self.epsilon: float = module.variance_epsilon
        self.full_weight = self._weight.float().contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """Of the last dimension."""
        if x.device.type != "cpu":
            return nn.functional.rms_norm(x, self._weight.shape, self._weight, self.epsilon)
        stored = stored_as(x.dtype)
        if stored is not None and x.dim() == 2 and x.stride(1) == 1:
            return self._compiled(x, stored)
        return self._by_operations(x)

    def _compiled(self, x_NI: Tensor, stored: Stored) -> Tensor:
        rows, size = x_NI.shape
        out_NI = x_NI.new_empty(rows, size)
        norm_code(size, stored)(
            rows=rows,
            x=x_NI.data_ptr(),
            x_stride=x_NI.stride(0) * x_NI.element_size(),
            out=out_NI.data_ptr(),
            weight=self.full_weight.data_ptr(),
            epsilon=bits_of(self.epsilon),
        )
        return out_NI

    def _by_operations(self, x: Tensor) -> Tensor:
        # In half precision torch's own takes ten times as long for the tokens of a prompt.
        if x.dtype == torch.float32:
            return nn.functional.rms_norm(x, self._weight.shape, self._weight, self.epsilon)
        full = x.float()
        length = torch.linalg.vector_norm(full, dim=-1, keepdim=True)
        root = length.square_().div_(self._weight.numel()).add_(self.epsilon).rsqrt_()
        return full.mul_(root).mul_(self.full_weight).to(x.dtype)
