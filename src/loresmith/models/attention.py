"""Causal attention for training on the CPU, by batched matrix products over blocks of queries.

softmax(Q K^T / sqrt(d)) V is computed for BLOCK queries at a time against the keys up to the block's end, so that a
little more than half of the T x T scores is ever computed, exactly as causality allows. The probabilities are kept for
the backward pass, which is Dao et al., FlashAttention (2022), appendix B.4, without the tiling:

    dV = P^T dO      dP = dO V^T      dS = P * (dP - rowsum(P * dP))      dQ = dS K      dK = dS^T Q

At the short sequences of small models torch's own CPU kernel spends several times as long on the same work (the
profile is in docs/log.md). It is registered with transformers under `NAME`, and hands over to `sdpa` what it does not
do itself: masks, caches, dropout.

Legend: B batch, T time, H query heads, K key-value heads, G = H / K queries a key head, D head size, N = B K.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from loresmith.models.offline import transformers

NAME = "loresmith_batched_matmul"
BLOCK = 128
"""Queries at a time: smaller blocks skip more of the masked half, larger ones make better matrix products."""


class _CausalAttention(torch.autograd.Function):
    """From q (N, G, T, D), k and v (N, T, D) to (N, G, T, D); q is already scaled."""

    @staticmethod
    def forward(ctx: Any, q_NGTD: Tensor, k_NTD: Tensor, v_NTD: Tensor) -> Tensor:
        out_NGTD = torch.empty_like(q_NGTD)
        blocks = []
        for start, end in _blocks(q_NGTD.shape[2]):
            scores_NQS = torch.bmm(_rows(q_NGTD, start, end), k_NTD[:, :end].transpose(1, 2))
            _mask_future(scores_NQS, q_NGTD.shape[1], start, end)
            probabilities_NQS = torch.softmax(scores_NQS, dim=-1)
            blocks.append(probabilities_NQS)
            _set_rows(out_NGTD, start, end, torch.bmm(probabilities_NQS, v_NTD[:, :end]))
        ctx.save_for_backward(q_NGTD, k_NTD, v_NTD, *blocks)
        return out_NGTD

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (d_out_NGTD,) = gradients
        q_NGTD, k_NTD, v_NTD, *blocks = ctx.saved_tensors
        dq_NGTD, dk_NTD, dv_NTD = torch.empty_like(q_NGTD), torch.zeros_like(k_NTD), torch.zeros_like(v_NTD)
        for (start, end), p_NQS in zip(_blocks(q_NGTD.shape[2]), blocks, strict=True):
            d_out_NQD = _rows(d_out_NGTD, start, end)
            dv_NTD[:, :end] += torch.bmm(p_NQS.transpose(1, 2), d_out_NQD)
            dp_NQS = torch.bmm(d_out_NQD, v_NTD[:, :end].transpose(1, 2))
            ds_NQS = torch._softmax_backward_data(dp_NQS, p_NQS, -1, p_NQS.dtype)
            _set_rows(dq_NGTD, start, end, torch.bmm(ds_NQS, k_NTD[:, :end]))
            dk_NTD[:, :end] += torch.bmm(ds_NQS.transpose(1, 2), _rows(q_NGTD, start, end))
        return dq_NGTD, dk_NTD, dv_NTD


def causal_attention(q_BHTD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, scaling: float) -> Tensor:
    """Attention of every position to itself and those before it.

    Args:
        q_BHTD: queries; H is a multiple of K, and query head h attends with key head h // (H / K).
        k_BKTD, v_BKTD: keys and values.
        scaling: factor on the scores, 1 / sqrt(D) as a rule.

    Returns:
        (B, T, H, D), as transformers wants it, in the type of the inputs.
    """
    B, H, T, D = q_BHTD.shape
    K = k_BKTD.shape[1]
    out_NGTD: Tensor = _CausalAttention.apply(  # type: ignore[no-untyped-call]
        (q_BHTD * scaling).reshape(B * K, H // K, T, D), k_BKTD.reshape(B * K, T, D), v_BKTD.reshape(B * K, T, D)
    )
    return out_NGTD.view(B, H, T, D).transpose(1, 2)


def _blocks(length: int) -> list[tuple[int, int]]:
    return [(start, min(start + BLOCK, length)) for start in range(0, length, BLOCK)]


def _rows(x_NGTD: Tensor, start: int, end: int) -> Tensor:
    """Block of queries (N, G * (end - start), D)."""
    return x_NGTD[:, :, start:end].reshape(x_NGTD.shape[0], -1, x_NGTD.shape[3])


def _set_rows(x_NGTD: Tensor, start: int, end: int, rows_NQD: Tensor) -> None:
    x_NGTD[:, :, start:end] = rows_NQD.view(x_NGTD.shape[0], x_NGTD.shape[1], end - start, -1)


def _mask_future(scores_NQS: Tensor, groups: int, start: int, end: int) -> None:
    """Only the last end - start keys can lie after a query of this block."""
    size = end - start
    future_QQ = torch.full((size, size), float("-inf"), dtype=scores_NQS.dtype, device=scores_NQS.device).triu(1)
    scores_NQS.view(-1, groups, size, end)[..., start:] += future_QQ


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The interface of transformers' attention functions."""
    own = attention_mask is None and dropout == 0.0 and query.shape[2] == key.shape[2] and "position_bias" not in kwargs
    if not own:
        sdpa = transformers.modeling_utils.ALL_ATTENTION_FUNCTIONS["sdpa"]
        out, _ = sdpa(module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs)
        return out, None
    return causal_attention(query, key, value, query.shape[-1] ** -0.5 if scaling is None else scaling), None


def register() -> None:
    """Make `NAME` known to transformers; its masks are made as for `sdpa`, and none where plain causality suffices."""
    transformers.AttentionInterface.register(NAME, _attention)
    masks = transformers.masking_utils.ALL_MASK_ATTENTION_FUNCTIONS
    transformers.AttentionMaskInterface.register(NAME, masks["sdpa"])
