"""Causal attention for training on the CPU, by batched matrix products over blocks of queries.

softmax(Q K^T / sqrt(d) + M) V is computed for BLOCK queries at a time against the keys that they may see, from the
first that M leaves to any query of the block to the block's last, so that a little more than half of the T x T scores
is ever computed, as causality allows, and less where windows or borders between packed documents cut off what lies
before. The probabilities are kept for the backward pass, which is Dao et al., FlashAttention (2022), appendix B.4,
without the tiling:

    dV = P^T dO      dP = dO V^T      dS = P * (dP - rowsum(P * dP))      dQ = dS K      dK = dS^T Q

At the short sequences of small models torch's own CPU kernel spends several times as long on the same work (the
profile is in docs/log.md). It is registered with transformers under `NAME`, and hands over to `sdpa` what it does not
do itself: masks that let a position see a later one, masks that differ by head or learn, caches, dropout.

Legend: B batch, T time, H query heads, K key-value heads, G = H / K queries a key head, D head size, E size of a value
(D as a rule), N = B K; Q queries of a block, S the keys that they see.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from loresmith.models.offline import transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "loresmith_batched_matmul"
BLOCK = 128
"""Queries at a time: smaller blocks skip more of the masked half, larger ones make better matrix products."""

GRAIN = 64
"""Blocks begin at a multiple of this many keys: few shapes of matrix products, of which each is compiled once."""

TWISTS = ("softcap", "s_aux", "sinks", "block_indices", "indices")
"""What some families ask of their attention besides (Gemma2, gpt-oss, sparse ones), by transformers' names."""


Block = tuple[int, int, int]
"""First key of a block, its first query, and the end of both."""


class UnknownTwistError(ValueError):
    """A model asks of its attention what neither ours nor `sdpa` does."""


class _CausalAttention(torch.autograd.Function):
    """From q (N, G, T, D), k (N, T, D) and v (N, T, E) to (N, G, T, E); q is already scaled."""

    @staticmethod
    def forward(
        ctx: Any, q_NGTD: Tensor, k_NTD: Tensor, v_NTE: Tensor, mask_B1TT: Tensor | None, blocks: list[Block]
    ) -> Tensor:
        out_NGTE = q_NGTD.new_empty(*q_NGTD.shape[:3], v_NTE.shape[2])
        probabilities = []
        for first, start, end in blocks:
            scores_NQS = torch.bmm(_rows(q_NGTD, start, end), k_NTD[:, first:end].transpose(1, 2))
            _shut_out(scores_NQS, q_NGTD.shape[1], mask_B1TT, (first, start, end))
            probabilities.append(torch.softmax(scores_NQS, dim=-1))
            _set_rows(out_NGTE, start, end, torch.bmm(probabilities[-1], v_NTE[:, first:end]))
        ctx.blocks = blocks
        ctx.save_for_backward(q_NGTD, k_NTD, v_NTE, *probabilities)
        return out_NGTE

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        (d_out_NGTE,) = gradients
        q_NGTD, k_NTD, v_NTE, *probabilities = ctx.saved_tensors
        dq_NGTD, dk_NTD, dv_NTE = torch.empty_like(q_NGTD), torch.zeros_like(k_NTD), torch.zeros_like(v_NTE)
        for (first, start, end), p_NQS in zip(ctx.blocks, probabilities, strict=True):
            d_out_NQE = _rows(d_out_NGTE, start, end)
            dv_NTE[:, first:end] += torch.bmm(p_NQS.transpose(1, 2), d_out_NQE)
            dp_NQS = torch.bmm(d_out_NQE, v_NTE[:, first:end].transpose(1, 2))
            ds_NQS = torch._softmax_backward_data(dp_NQS, p_NQS, -1, p_NQS.dtype)
            _set_rows(dq_NGTD, start, end, torch.bmm(ds_NQS, k_NTD[:, first:end]))
            dk_NTD[:, first:end] += torch.bmm(ds_NQS.transpose(1, 2), _rows(q_NGTD, start, end))
        return dq_NGTD, dk_NTD, dv_NTE, None, None


def causal_attention(
    q_BHTD: Tensor,
    k_BKTD: Tensor,
    v_BKTE: Tensor,
    scaling: float,
    mask_B1TT: Tensor | None = None,
    blocks: list[Block] | None = None,
) -> Tensor:
    """Attention of every position to itself and those before it, or to those of them that a mask leaves.

    Args:
        q_BHTD: queries; H is a multiple of K, and query head h attends with key head h // (H / K).
        k_BKTD, v_BKTE: keys and values.
        scaling: factor on the scores, 1 / sqrt(D) as a rule.
        mask_B1TT: added to the scores, in their type; the least finite number of that type shuts a key out. A query
            that sees nothing gets a mean of some values: finite, and nobody's.
        blocks: as `_blocks` finds them, where they are known.

    Returns:
        (B, T, H, E), as transformers wants it, in the type of the inputs.

    Raises:
        ValueError: the mask leaves a query something of its future.
    """
    blocks = blocks or _blocks(q_BHTD.shape[2], mask_B1TT)
    if blocks is None:
        raise ValueError("the mask lets a position see a later one")
    B, H, T, D = q_BHTD.shape
    K, E = k_BKTD.shape[1], v_BKTE.shape[3]
    out_NGTE: Tensor = _CausalAttention.apply(  # type: ignore[no-untyped-call]
        (q_BHTD * scaling).reshape(B * K, H // K, T, D),
        k_BKTD.reshape(B * K, T, D),
        v_BKTE.reshape(B * K, T, E),
        mask_B1TT,
        blocks,
    )
    return out_NGTE.view(B, H, T, E).transpose(1, 2).contiguous()


def _blocks(length: int, mask_B1TT: Tensor | None) -> list[Block] | None:
    """The blocks of queries, each with the keys that a row of the batch leaves to one of them.

    Returns:
        None where a query sees something of its future.
    """
    ranges = [(start, min(start + BLOCK, length)) for start in range(0, length, BLOCK)]
    if mask_B1TT is None:
        return [(0, start, end) for start, end in ranges]
    visible_TT = mask_B1TT.amax(dim=(0, 1)) > torch.finfo(mask_B1TT.dtype).min / 2
    if bool(visible_TT.triu(1).any()):
        return None
    firsts = [int(visible_TT[start:end].any(0).byte().argmax()) for start, end in ranges]
    return [(first // GRAIN * GRAIN, start, end) for first, (start, end) in zip(firsts, ranges, strict=True)]


def _rows(x_NGTD: Tensor, start: int, end: int) -> Tensor:
    """Block of queries (N, G * (end - start), D)."""
    return x_NGTD[:, :, start:end].reshape(x_NGTD.shape[0], -1, x_NGTD.shape[3])


def _set_rows(x_NGTD: Tensor, start: int, end: int, rows_NQD: Tensor) -> None:
    x_NGTD[:, :, start:end] = rows_NQD.view(x_NGTD.shape[0], x_NGTD.shape[1], end - start, -1)


def _shut_out(scores_NQS: Tensor, groups: int, mask_B1TT: Tensor | None, block: Block) -> None:
    """Keys that the mask shuts out, or those in the future; without a mask only the last can lie there."""
    first, start, end = block
    if mask_B1TT is not None:
        scores_BHQS = scores_NQS.view(mask_B1TT.shape[0], -1, end - start, end - first)
        scores_BHQS += mask_B1TT[:, :, start:end, first:end]
        return
    future_QQ = scores_NQS.new_full((end - start, end - start), float("-inf")).triu(1)
    scores_NQS.view(-1, groups, end - start, end)[..., start:] += future_QQ


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The interface of transformers' attention functions."""
    if twists := [name for name in TWISTS if kwargs.get(name) is not None]:
        raise UnknownTwistError(f"{NAME} does not know {', '.join(twists)}; give this model its own attention")
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    if causal and query.shape[2] == key.shape[2] and dropout == 0.0 and kwargs.get("position_bias") is None:
        factor = scaling or query.shape[-1] ** -0.5
        if attention_mask is None:
            return causal_attention(query, key, value, factor), None
        if (masked := _masked_attention(query, key, value, factor, attention_mask)) is not None:
            return masked, None
    sdpa = transformers.modeling_utils.ALL_ATTENTION_FUNCTIONS["sdpa"]
    kwargs |= {"scaling": scaling, "dropout": dropout, "is_causal": is_causal}
    return sdpa(module, query, key, value, attention_mask, **kwargs)[0], None


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _masked_attention(query: Tensor, key: Tensor, value: Tensor, scaling: float, mask: Tensor) -> Tensor | None:
    """Attention under a mask, or None where it is one for sdpa.

    Its blocks follow from the numbers in the mask: compiled, it would be compiled anew for every batch.
    """
    if mask.shape != (len(query), 1, query.shape[2], query.shape[2]) or mask.requires_grad:
        return None
    mask_B1TT = _to_add(mask, query.dtype)
    blocks = _blocks(query.shape[2], mask_B1TT)
    return None if blocks is None else causal_attention(query, key, value, scaling, mask_B1TT, blocks)


def _to_add(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask, bool or in another type, as finite numbers to be added to scores of this type."""
    least = torch.finfo(dtype).min
    if mask.dtype == torch.bool:
        return torch.where(mask, torch.zeros((), dtype=dtype, device=mask.device), least)
    return mask if mask.dtype == dtype else mask.to(dtype).clamp_min(least)


def _make_mask(*args: Any, dtype: torch.dtype = torch.float32, **kwargs: Any) -> Tensor | None:
    """As transformers makes masks for `eager`, once for all layers, but none where plain causality suffices."""
    visible = transformers.masking_utils.sdpa_mask(*args, **kwargs)
    return None if visible is None else _to_add(visible, dtype)


def register(function: Callable[..., tuple[Tensor, None]] = _attention) -> None:
    """Make `NAME` known to transformers, and the masks that it takes."""
    transformers.AttentionInterface.register(NAME, function)
    transformers.AttentionMaskInterface.register(NAME, _make_mask)


@torch.no_grad()
def use(model: PreTrainedModel) -> bool:
    """Give a model this attention, unless it asks for more than it does, or goes ways of its own (Falcon).

    Returns:
        Whether the model has it now.
    """
    if not getattr(model, "_supports_sdpa", False):
        return False
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> tuple[Tensor, None]:
        nonlocal calls
        calls += 1
        return _attention(*args, **kwargs)

    own = model.config._attn_implementation
    register(counted)
    model.set_attn_implementation(NAME)
    try:
        with torch.random.fork_rng(devices=[]):
            model(input_ids=torch.zeros(1, 2, dtype=torch.int64, device=model.device), use_cache=False)
    except UnknownTwistError:
        calls = 0
    finally:
        register()
    if not calls:
        model.set_attn_implementation(own)
    return calls > 0
