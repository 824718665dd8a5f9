"""Attention of a step's tokens to the keys and values of their own slots.

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

from dataclasses import dataclass, field

import torch
from torch import Tensor

from loresmith.serving.engines.embedded.layout import Layout, Segment
from loresmith.serving.engines.embedded.slot_cache import BANK, BLOCK, GRAIN, SlotCache, blocks_of

FULL = 5
"""From so many requests in a bank on, the whole bank is computed rather than theirs copied out of it."""


@dataclass(frozen=True)
class Twist:
    """What a layer asks of its attention besides the plain formula.

    Attributes:
        scaling: factor on the scores.
        window: a query sees itself and so many keys less one before it; None: all.
        softcap: scores s become cap tanh(s / cap) (Gemma 2).
        sinks_H: a score of each head that takes part in the softmax and has no value (gpt-oss).
    """

    scaling: float
    window: int | None = None
    softcap: float | None = None
    sinks_H: Tensor | None = None


@dataclass
class _Group:
    """Single tokens of one bank.

    Attributes:
        bank: the bank.
        slots: that are computed, by their places in the bank; more than asked for where the whole bank is.
        asked_R: for each token, which of those it is.
        rows_R: where in the row of the step it lies.
        ends_R: how many keys it sees.
        blocks: how many are read.
    """

    bank: int
    slots: list[int]
    asked_R: Tensor
    rows_R: Tensor
    ends_R: Tensor
    blocks: int
    masks: dict[int | None, Tensor] = field(default_factory=dict)


class SlotAttention:
    """Attention in one step; the same for all layers."""

    def __init__(self, layout: Layout, cache: SlotCache, dtype: torch.dtype) -> None:
        self._layout = layout
        self._cache = cache
        self._dtype = dtype
        self._places = cache.places(layout)
        self._groups = _groups(layout)
        self._pieces = list(zip(layout.segments, layout.offsets, strict=True))[layout.single :]
        self._masks: dict[tuple[int, int, int | None], Tensor] = {}

    def attend(self, layer: int, q_NHD: Tensor, k_NKD: Tensor, v_NKD: Tensor, twist: Twist) -> Tensor:
        """Store what the tokens are known by, and let them look at their requests.

        Returns:
            (N, H, D).
        """
        self._cache.store(layer, self._places, k_NKD, v_NKD)
        out_NHD = q_NHD.new_empty(*q_NHD.shape[:2], v_NKD.shape[2])
        for group in self._groups:
            self._attend_single(layer, group, q_NHD, twist, out_NHD)
        for segment, at in self._pieces:
            self._attend_piece(layer, segment, at, q_NHD, twist, out_NHD)
        return out_NHD

    def _attend_single(self, layer: int, group: _Group, q_NHD: Tensor, twist: Twist, out_NHD: Tensor) -> None:
        keys_JRKPD, values_JRKPD = self._cache.of_bank(layer, group.bank, group.blocks, group.slots)
        slots, heads = keys_JRKPD.shape[1:3]
        q_RHD = q_NHD.new_zeros(slots, *q_NHD.shape[1:])
        q_RHD[group.asked_R] = q_NHD[group.rows_R]
        out_XGD = _attend(
            q_RHD.view(slots * heads, -1, q_NHD.shape[2]),
            keys_JRKPD.flatten(1, 2),
            values_JRKPD.flatten(1, 2),
            self._single_mask(group, twist.window, heads),
            twist,
            heads,
        )
        out_NHD[group.rows_R] = out_XGD.view(slots, q_NHD.shape[1], -1)[group.asked_R]

    def _single_mask(self, group: _Group, window: int | None, heads: int) -> Tensor:
        """What is added to the scores (R K, 1, L)."""
        found = group.masks.get(window)
        if found is None:
            places_L = torch.arange(group.blocks * GRAIN, device=self._layout.device)
            ends_R = group.ends_R.new_ones(len(group.slots))  # slots that are not asked see their first key
            ends_R[group.asked_R] = group.ends_R
            visible_RL = places_L < ends_R[:, None]
            if window is not None:
                visible_RL &= places_L >= (ends_R - window)[:, None]
            found = group.masks[window] = self._to_add(visible_RL).repeat_interleave(heads, 0)[:, None]
        return found

    def _attend_piece(
        self, layer: int, segment: Segment, at: int, q_NHD: Tensor, twist: Twist, out_NHD: Tensor
    ) -> None:
        bank, within = divmod(segment.slot, BANK)
        read = blocks_of(segment.end)
        keys_JKPD, values_JKPD = (kept[:, 0] for kept in self._cache.of_bank(layer, bank, read, [within]))
        heads = keys_JKPD.shape[1]
        first = segment.start
        while first < segment.end:
            block = first // BLOCK
            end = min((block + 1) * BLOCK, segment.end)
            rows = slice(at + first - segment.start, at + end - segment.start)
            q_KQGD = q_NHD[rows].view(end - first, heads, -1, q_NHD.shape[2]).transpose(0, 1)
            blocks, groups = blocks_of(end), q_KQGD.shape[2]
            out_KXD = _attend(
                q_KQGD.reshape(heads, -1, q_NHD.shape[2]),
                keys_JKPD[:blocks],
                values_JKPD[:blocks],
                self._mask(first, end, twist.window, groups),
                twist,
                heads,
            )
            out_KQGD = out_KXD.view(heads, end - first, groups, -1)
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


def _groups(layout: Layout) -> list[_Group]:
    """The single tokens by their banks."""
    by_bank: dict[int, list[int]] = {}
    for row, segment in enumerate(layout.segments[: layout.single]):
        by_bank.setdefault(segment.slot // BANK, []).append(row)
    groups = []
    for bank, rows in sorted(by_bank.items()):
        within = [layout.segments[row].slot % BANK for row in rows]
        ends = [layout.segments[row].end for row in rows]
        slots = list(range(BANK)) if len(rows) >= FULL else sorted(within)
        groups.append(
            _Group(
                bank=bank,
                slots=slots,
                asked_R=torch.tensor([slots.index(place) for place in within], device=layout.device),
                rows_R=torch.tensor(rows, device=layout.device),
                ends_R=torch.tensor(ends, device=layout.device),
                blocks=blocks_of(max(ends)),
            )
        )
    return groups


def _attend(q_XQD: Tensor, keys_JXPD: Tensor, values_JXPD: Tensor, mask: Tensor, twist: Twist, heads: int) -> Tensor:
    """The formula, for X pairs of a request and a key head with Q queries each."""
    blocks, pairs = keys_JXPD.shape[:2]
    queries = q_XQD.shape[1]
    q_JXQD = (q_XQD * twist.scaling).expand(blocks, -1, -1, -1).reshape(blocks * pairs, queries, -1)
    scores = torch.bmm(q_JXQD, keys_JXPD.flatten(0, 1).transpose(1, 2)).view(blocks, pairs, queries, GRAIN)
    weights_XQL = _softmax(scores.permute(1, 2, 0, 3).reshape(pairs, queries, -1), mask, twist, heads)
    weights_JXQP = weights_XQL.view(pairs, queries, blocks, GRAIN).permute(2, 0, 1, 3)
    parts = torch.bmm(weights_JXQP.reshape(blocks * pairs, queries, GRAIN), values_JXPD.flatten(0, 1))
    return _summed(parts.view(blocks, pairs, queries, -1))


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


def _summed(parts_JXQD: Tensor) -> Tensor:
    """The sum over blocks, one after the other: further blocks, whose keys are all masked, then change nothing."""
    total_XQD = parts_JXQD[0]
    for part_XQD in parts_JXQD[1:]:
        total_XQD = total_XQD + part_XQD
    return total_XQD
