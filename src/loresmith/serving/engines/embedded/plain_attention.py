"""Attention of a step's tokens to the keys and values of their own slots, in operations of torch: on GPUs.

softmax(Q K^T scaling + M) V, by batched matrix products: for the single tokens of all requests of a bank at once, in
blocks of GRAIN keys,

    S_j = Q K_j^T        W = softmax(S_1 .. S_J + M)        O = sum_j W_j V_j

and for the pieces of prompts one by one, BLOCK queries at a time, in the same blocks of keys. A query may read more
keys than it sees: they are masked, and whole blocks of them add zero. So the result for a token is the same to the bit
whatever else is in the step, wherever the matrix products are (on CPUs in bfloat16; `certify` tries it).

Legend: N tokens of the step, R slots of a group, K key-value heads, H query heads, G = H / K, D size of a key or value,
J blocks of keys, P keys of a block, Q queries of a block of a prompt, L keys that it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from loresmith.serving.engines.embedded.layout import Layout, Segment
from loresmith.serving.engines.embedded.slot_cache import BLOCK, GRAIN, Bank, SlotCache, blocks_of
from loresmith.serving.engines.embedded.twist import Angles, Heads, Twist

FULL = 5 / 8
"""From this share of a bank's slots on, the whole bank is computed rather than the asked ones copied out of it."""


@dataclass
class _Group:
    """Single tokens of one bank: neighbours in the row of the step, in the order of their slots.

    Attributes:
        bank: the bank.
        slots: that are computed, by their places in the bank; more than asked for where the whole bank is.
        rows: where in the row of the step the tokens lie.
        asked_R: for each token, which of the slots it is; None where they are just these.
        source_C: for each slot, the row of its token, or any; None where they are just the rows.
        ends_C: how many keys each slot's token sees; 1 where there is none.
        blocks: how many are read.
    """

    bank: Bank
    slots: list[int]
    rows: slice
    asked_R: Tensor | None
    source_C: Tensor | None
    ends_C: Tensor
    blocks: int
    masks: dict[int | None, Tensor] = field(default_factory=dict)


class PlainAttention:
    """Attention in one step; the same for all layers."""

    def __init__(self, layout: Layout, cache: SlotCache, dtype: torch.dtype) -> None:
        self._layout = layout
        self._cache = cache
        self._dtype = dtype
        self._places = cache.places(layout)
        self._groups = _groups(layout, cache.banks)
        self._pieces = list(zip(layout.segments, layout.offsets, strict=True))[layout.single :]
        self._masks: dict[tuple[int, int, int | None], Tensor] = {}

    def attend(self, layer: int, q_NHD: Tensor, k_NKD: Tensor, v_NKD: Tensor, twist: Twist) -> Tensor:
        """See `SlotAttention`."""
        self._cache.store(layer, self._places, k_NKD, v_NKD)
        if len(self._groups) == 1 and not self._pieces:
            return self._attend_single(layer, self._groups[0], q_NHD, twist)
        out_NHD = q_NHD.new_empty(*q_NHD.shape[:2], v_NKD.shape[2])
        for group in self._groups:
            out_NHD[group.rows] = self._attend_single(layer, group, q_NHD, twist)
        for segment, at in self._pieces:
            self._attend_piece(layer, segment, at, q_NHD, twist, out_NHD)
        return out_NHD

    def attend_turned(self, layer: int, qkv_NO: Tensor, heads: Heads, angles: Angles, twist: Twist) -> Tensor:
        """See `SlotAttention`."""
        q_NHD, k_NKD, v_NKD = heads.parts(qkv_NO)
        if heads.query_norm is not None and heads.key_norm is not None:
            q_NHD, k_NKD = heads.query_norm(q_NHD), heads.key_norm(k_NKD)
        q_NHD, k_NKD = _turned(q_NHD, angles), _turned(k_NKD, angles)
        return self.attend(layer, q_NHD, k_NKD, v_NKD, twist)

    def _attend_single(self, layer: int, group: _Group, q_NHD: Tensor, twist: Twist) -> Tensor:
        """The group's rows (R, H, D)."""
        keys_JCKPD, values_JCKPD = self._cache.of_bank(layer, group.bank, group.blocks, group.slots)
        slots, heads = keys_JCKPD.shape[1:3]
        q_CHD = q_NHD[group.rows] if group.source_C is None else q_NHD.index_select(0, group.source_C)
        q_XGD = q_CHD.reshape(slots * heads, -1, q_NHD.shape[2]) * twist.scaling
        scores_XGL = _scores_by_blocks(q_XGD, keys_JCKPD.flatten(1, 2))
        weights_XGL = _softmax(scores_XGL, self._single_mask(group, twist.window, heads), twist, heads)
        out_XGD = _weighted(weights_XGL, values_JCKPD.flatten(1, 2))
        out_CHD = out_XGD.view(slots, q_NHD.shape[1], -1)
        return out_CHD if group.asked_R is None else out_CHD.index_select(0, group.asked_R)

    def _single_mask(self, group: _Group, window: int | None, heads: int) -> Tensor:
        """What is added to the scores (C K, 1, L)."""
        found = group.masks.get(window)
        if found is None:
            places_L = torch.arange(group.blocks * GRAIN, device=self._layout.device)
            visible_CL = places_L < group.ends_C[:, None]
            if window is not None:
                visible_CL &= places_L >= (group.ends_C - window)[:, None]
            found = group.masks[window] = self._to_add(visible_CL).repeat_interleave(heads, 0)[:, None]
        return found

    def _attend_piece(
        self, layer: int, segment: Segment, at: int, q_NHD: Tensor, twist: Twist, out_NHD: Tensor
    ) -> None:
        keys_KLD, values_JKPD = self._cache.of_slot(layer, segment.slot, blocks_of(segment.end))
        heads = len(keys_KLD)
        first = segment.start
        while first < segment.end:
            block = first // BLOCK
            end = min((block + 1) * BLOCK, segment.end)
            rows = slice(at + first - segment.start, at + end - segment.start)
            q_KQGD = q_NHD[rows].view(end - first, heads, -1, q_NHD.shape[2]).transpose(0, 1)
            blocks, groups = blocks_of(end), q_KQGD.shape[2]
            q_KXD = q_KQGD.reshape(heads, -1, q_NHD.shape[2]) * twist.scaling
            scores_KXL = torch.bmm(q_KXD, keys_KLD[:, : blocks * GRAIN].transpose(1, 2))
            weights_KXL = _softmax(scores_KXL, self._mask(first, end, twist.window, groups), twist, heads)
            out_KQGD = _weighted(weights_KXL, values_JKPD[:blocks]).view(heads, end - first, groups, -1)
            out_NHD[rows] = out_KQGD.transpose(0, 1).reshape(end - first, q_NHD.shape[1], -1)
            first = end

    def _mask(self, first: int, end: int, window: int | None, groups: int) -> Tensor:
        """What is added to the scores of a block of queries (1, Q G, L)."""
        key = (first, end, window)
        found = self._masks.get(key)
        if found is None:
            device = self._layout.device
            places_L = torch.arange(blocks_of(end) * GRAIN, device=device)
            queries_Q1 = torch.arange(first, end, device=device)[:, None]
            visible_QL = places_L <= queries_Q1
            if window is not None:
                visible_QL &= places_L > queries_Q1 - window
            found = self._masks[key] = self._to_add(visible_QL).repeat_interleave(groups, 0)[None]
        return found

    def _to_add(self, visible: Tensor) -> Tensor:
        shut = torch.full((), float("-inf"), dtype=self._dtype, device=visible.device)
        return torch.where(visible, torch.zeros((), dtype=self._dtype, device=visible.device), shut)


def _turned(x_NXD: Tensor, angles: Angles) -> Tensor:
    """Rotary positions (Su et al. 2021), the halves of a head turned against one another as in Llama."""
    first_NXE, second_NXE = x_NXD.chunk(2, dim=-1)
    crossed_NXD = torch.cat((-second_NXE, first_NXE), -1)
    return crossed_NXD.mul_(angles.sin_ND[:, None]).addcmul_(x_NXD, angles.cos_ND[:, None])


def _groups(layout: Layout, banks: Sequence[Bank]) -> list[_Group]:
    """The single tokens by their banks."""
    groups = []
    singles = layout.segments[: layout.single]
    first = 0
    while first < len(singles):
        bank = banks[singles[first].slot]
        asked = [segment for segment in singles[first:] if segment.slot < bank.begin + bank.size]
        groups.append(_group(layout, bank, first, asked))
        first += len(asked)
    return groups


def _group(layout: Layout, bank: Bank, first: int, asked: Sequence[Segment]) -> _Group:
    within = [segment.slot - bank.begin for segment in asked]
    slots = list(range(bank.size)) if len(asked) >= FULL * bank.size else within
    place = {slot: number for number, slot in enumerate(slots)}
    source, ends = [first] * len(slots), [1] * len(slots)  # a slot that is not asked sees its first key
    for number, segment in enumerate(asked):
        at = place[within[number]]
        source[at], ends[at] = first + number, segment.end
    all_asked = len(slots) == len(asked)

    def numbers(values: list[int]) -> Tensor:
        return torch.tensor(values, device=layout.device)

    return _Group(
        bank=bank,
        slots=slots,
        rows=slice(first, first + len(asked)),
        asked_R=None if all_asked else numbers([place[slot] for slot in within]),
        source_C=None if all_asked else numbers(source),
        ends_C=numbers(ends),
        blocks=blocks_of(max(ends)),
    )


def _scores_by_blocks(q_XGD: Tensor, keys_JXPD: Tensor) -> Tensor:
    """Products of queries and keys (X, G, L), for X pairs of a request and a key head."""
    blocks, pairs = keys_JXPD.shape[:2]
    queries = q_XGD.shape[1]
    q_JXGD = q_XGD.expand(blocks, -1, -1, -1).reshape(blocks * pairs, queries, -1)
    scores = torch.bmm(q_JXGD, keys_JXPD.flatten(0, 1).transpose(1, 2)).view(blocks, pairs, queries, GRAIN)
    return scores.permute(1, 2, 0, 3).reshape(pairs, queries, -1)


def _weighted(weights_XQL: Tensor, values_JXPD: Tensor) -> Tensor:
    """The values by their weights (X, Q, D), for X pairs of a request and a key head with Q queries each."""
    blocks, pairs = values_JXPD.shape[:2]
    queries = weights_XQL.shape[1]
    weights_JXQP = weights_XQL.view(pairs, queries, blocks, GRAIN).permute(2, 0, 1, 3)
    parts = torch.bmm(weights_JXQP.reshape(blocks * pairs, queries, GRAIN), values_JXPD.flatten(0, 1))
    # One after the other in fp32, from the first block on: further blocks, whose keys are all masked, change nothing.
    return parts.view(blocks, pairs, queries, -1).sum(0)


def _softmax(scores_XQL: Tensor, mask: Tensor, twist: Twist, heads: int) -> Tensor:
    """The weights of keys, for X pairs of a request and a key head; the scores are overwritten."""
    if twist.softcap is not None:
        scores_XQL = scores_XQL.div_(twist.softcap).tanh_().mul_(twist.softcap)
    scores_XQL = scores_XQL.add_(mask)
    if twist.sinks_H is None:
        return torch.softmax(scores_XQL, -1)
    sinks_XQ1 = _sinks(twist.sinks_H.to(scores_XQL.dtype), scores_XQL, heads)
    return torch.softmax(torch.cat((scores_XQL, sinks_XQ1), -1), -1)[..., :-1]


def _sinks(sinks_H: Tensor, scores_XQL: Tensor, heads: int) -> Tensor:
    """The sink of each row of scores: pairs are requests by key heads, rows are queries by the heads of a group."""
    pairs, rows, _ = scores_XQL.shape
    groups = len(sinks_H) // heads
    sinks = sinks_H.view(1, heads, 1, groups).expand(pairs // heads, heads, rows // groups, groups)
    return sinks.reshape(pairs, rows, 1)
