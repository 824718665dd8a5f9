"""Experts computed by grouped matrix products, each over a whole number of blocks of rows.

Tokens are sorted by their expert, as in MegaBlocks (Gale et al., 2022), and one product serves all experts. How many
tokens an expert gets is different each time, and a CPU's kernels are compiled for the shape they meet: with odd counts
that takes half as long as the product itself. So every expert's rows are filled up to a multiple of `BLOCK` with zeros,
which add nothing to any result or gradient; few shapes are left, and each is compiled once.

Sorting and undoing it are their own inverses' gradients, so that neither direction scatters with sums.

Legend: N tokens, k experts of a token, S = N k, R rows with the zeros, D width, E experts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from loresmith.models.offline import transformers

NAME = "loresmith_grouped_mm"

BLOCK = 32
"""Rows to a multiple of which an expert's are filled up: on average half of it is wasted for each expert."""


class _Spread(torch.autograd.Function):
    """Rows of tokens (N, D) to the places of their experts, (R, D); what nothing goes to is zero."""

    @staticmethod
    def forward(ctx: Any, tokens_ND: Tensor, place_Nk: Tensor, rows: int) -> Tensor:
        ctx.save_for_backward(place_Nk)
        spread_RD = tokens_ND.new_zeros(rows, tokens_ND.shape[1])
        for place_N in place_Nk.unbind(1):
            spread_RD.index_copy_(0, place_N, tokens_ND)
        return spread_RD

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (place_Nk,) = ctx.saved_tensors
        first_N, *others = place_Nk.unbind(1)
        d_ND = gradients[0][first_N]
        for place_N in others:
            d_ND += gradients[0][place_N]
        return d_ND, None, None


class _Combine(torch.autograd.Function):
    """Rows at the places of experts (R, D) back to their tokens, weighted and added up: (N, D)."""

    @staticmethod
    def forward(ctx: Any, rows_RD: Tensor, weights_Nk: Tensor, place_Nk: Tensor) -> Tensor:
        ctx.save_for_backward(rows_RD, weights_Nk, place_Nk)
        choices = zip(place_Nk.unbind(1), weights_Nk.unsqueeze(-1).unbind(1), strict=True)
        place_N, weight_N1 = next(choices)
        sum_ND = rows_RD[place_N] * weight_N1
        for place_N, weight_N1 in choices:
            sum_ND.addcmul_(rows_RD[place_N], weight_N1)
        return sum_ND

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        rows_RD, weights_Nk, place_Nk = ctx.saved_tensors
        (d_ND,) = gradients
        d_rows_RD, d_weights = torch.zeros_like(rows_RD), []
        for place_N, weight_N1 in zip(place_Nk.unbind(1), weights_Nk.unsqueeze(-1).unbind(1), strict=True):
            d_rows_RD.index_copy_(0, place_N, d_ND * weight_N1)
            d_weights.append(torch.linalg.vecdot(d_ND, rows_RD[place_N]))
        return d_rows_RD, torch.stack(d_weights, dim=1), None


def places(experts_Nk: Tensor, count: int) -> tuple[Tensor, Tensor, int]:
    """Where each choice of a token goes.

    Args:
        experts_Nk: int64, the experts of each token.
        count: E.

    Returns:
        place_Nk: int64 row of each choice; those of an expert follow one another in the order of the tokens.
        ends_E: int32, where each expert's rows end, zeros included.
        rows: R.
    """
    experts_S = experts_Nk.flatten()
    sorted_S, order_S = torch.sort(experts_S, stable=True)
    tokens_E = torch.bincount(experts_S, minlength=count)
    filled_E = (tokens_E + BLOCK - 1) // BLOCK * BLOCK
    ends_E = filled_E.cumsum(0)
    shift_E = (ends_E - filled_E) - (tokens_E.cumsum(0) - tokens_E)
    place_S = torch.empty_like(experts_S)
    place_S[order_S] = torch.arange(len(experts_S), device=experts_S.device) + shift_E[sorted_S]
    return place_S.view_as(experts_Nk), ends_E.int(), int(ends_E[-1])


def experts_forward(self: Any, hidden_ND: Tensor, experts_Nk: Tensor, weights_Nk: Tensor) -> Tensor:
    """The interface of transformers' expert functions; biases, norms and divided experts are left to its own."""
    moe: Any = transformers.integrations.moe
    if self.has_bias or getattr(self, "has_post_expert_norm", False) or self._is_expert_parallel:
        own: Tensor = moe.grouped_mm_experts_forward(self, hidden_ND, experts_Nk, weights_Nk)
        return own
    place_Nk, ends_E, rows = places(experts_Nk, self.num_experts)
    spread_RD: Tensor = _Spread.apply(hidden_ND, place_Nk, rows)  # type: ignore[no-untyped-call]
    first: nn.Parameter = self.gate_up_proj if self.has_gate else self.up_proj
    inner = moe._grouped_linear(spread_RD, first, ends_E, is_transposed=self.is_transposed)
    inner = self._apply_gate(inner) if self.has_gate else self.act_fn(inner)
    out_RD = moe._grouped_linear(inner, self.down_proj, ends_E, is_transposed=self.is_transposed)
    out_ND: Tensor = _Combine.apply(out_RD, weights_Nk.to(out_RD.dtype), place_Nk)  # type: ignore[no-untyped-call]
    return out_ND.to(hidden_ND.dtype)


def register() -> None:
    """Make `NAME` known to transformers."""
    transformers.integrations.moe.ALL_EXPERTS_FUNCTIONS.register(NAME, experts_forward)
