"""Cross-entropy straight from hidden states, without ever holding the logits of a whole batch.

For a chunk of rows at a time: logits = h W^T, the loss, and at once the gradients, since with p = softmax(logits)

    d loss / d logits = p - onehot(target)        dh = d_logits W        dW = d_logits^T h

so that the backward pass has nothing left to compute. The idea is that of Wijmans et al., Cut Your Losses in
Large-Vocabulary Language Models (2024), and of Liger Kernel's fused linear cross-entropy. The softmax adds up in fp32
and is rounded to the type of the weights, as logits and gradients are: in bf16 a token's nll is off by 2^-9 at most,
either way, which is a tenth of what the rounding of its logits does. Losses and dW are summed over chunks in fp32.

With a weight z on the square of the log-normaliser (z-loss; Chowdhery et al., PaLM, 2022, section 5), the loss of a row
is nll + z * lse^2, and its d_logits gains 2 z lse p.

Legend: N rows (B * T tokens), D width, V vocabulary, C rows in a chunk.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

LOGITS_AT_MOST = 2**22
"""Logits held at once. 4 Mi values, 16 MiB in fp32, stay in a processor's last-level cache."""

SMALLEST = torch.finfo(torch.float32).tiny
"""A probability that underflowed is counted as this: 87 nats, and not infinitely many."""


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, weights_N: Tensor, z: float) -> Any:
        rows = max(1, LOGITS_AT_MOST // weight_VD.shape[0])
        d_hidden_ND = torch.empty_like(hidden_ND)
        # A frozen output embedding has no gradient, and its product is a third of the work.
        learns = ctx.needs_input_grad[1]
        d_weight_VD = torch.zeros(weight_VD.shape if learns else 0, dtype=torch.float32, device=weight_VD.device)
        total = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        nll_total = torch.zeros_like(total)
        even = bool((weights_N == 1).all())
        for start in range(0, len(hidden_ND), rows):
            h_CD, y_C1 = hidden_ND[start : start + rows], targets_N[start : start + rows, None]
            w_C1 = weights_N[start : start + rows, None]
            logits_CV = h_CD @ weight_VD.t()
            p_CV = torch.softmax(logits_CV, dim=-1)
            nll_C1 = -p_CV.gather(1, y_C1).float().clamp_min(SMALLEST).log()
            loss_C1, factor_C1 = nll_C1, w_C1
            if z:
                lse_C1 = logits_CV.gather(1, y_C1).float() + nll_C1
                loss_C1 = nll_C1 + z * lse_C1.square()
                factor_C1 = w_C1 * (1 + 2 * z * lse_C1)
            total += (loss_C1 * w_C1).sum()
            nll_total += (nll_C1 * w_C1).sum()
            if z or not even:
                p_CV.mul_(factor_C1.to(p_CV.dtype))
            d_logits_CV = p_CV.scatter_add_(1, y_C1, -w_C1.to(p_CV.dtype))
            d_hidden_ND[start : start + rows] = d_logits_CV @ weight_VD
            if learns:
                d_weight_VD += d_logits_CV.t() @ h_CD
        ctx.save_for_backward(d_hidden_ND, d_weight_VD.to(weight_VD.dtype))
        ctx.mark_non_differentiable(nll_total)
        return total, nll_total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        d_hidden_ND, d_weight_VD = ctx.saved_tensors
        scale = gradients[0]
        d_weight = d_weight_VD * scale.to(d_weight_VD.dtype) if ctx.needs_input_grad[1] else None
        return d_hidden_ND * scale.to(d_hidden_ND.dtype), d_weight, None, None, None


def linear_cross_entropy(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, weights_N: Tensor, z: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The summed, weighted cross-entropy of the next tokens.

    Args:
        hidden_ND: the backbone's last hidden states.
        weight_VD: the output embedding.
        targets_N: int64 ids, each in 0 .. V - 1; where the weight is zero any valid id does.
        weights_N: fp32 weight of each row; zero masks it.
        z: weight of the z-loss.

    Returns:
        The loss to be minimised, sum over rows of weight * (nll + z lse^2), differentiable in `hidden_ND` and
        `weight_VD`; and the same without the z-loss, for the record. Both fp32 scalars.
    """
    loss, nll = _LinearCrossEntropy.apply(hidden_ND, weight_VD, targets_N, weights_N, z)  # type: ignore[no-untyped-call]
    return loss, nll
