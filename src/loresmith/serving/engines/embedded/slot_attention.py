"""Attention of a step's tokens to the keys and values of their own slots.

softmax(Q K^T scaling + M) V, by batched matrix products: for the single tokens of all requests that write at once, and
for the pieces of prompts one by one, BLOCK queries at a time. Each query reads as many keys as follows from its own
position (`keys_read`), and blocks of queries begin at multiples of BLOCK, so that the result for a token is the same to
the bit whatever else is in the step, wherever the matrix products are (on CPUs in bfloat16; `certify` tries it).

Legend: N tokens of the step, R requests in a group, C slots, K key-value heads, H query heads, G = H / K, D size of a
key, E of a value, L keys that are read, Q queries of a block.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from loresmith.serving.engines.embedded.layout import Layout, Segment
from loresmith.serving.engines.embedded.slot_cache import BLOCK, STEP, SlotCache, keys_read

GAP = 2
"""So many unused slots between two requests are computed in vain rather than have two matrix products for one."""


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
    """Requests that read equally many keys, by neighbouring slots.

    Attributes:
        rows_R: their places in the row.
        first, slots: the slots from the first of theirs to the last; others may lie between.
        within_R: where theirs are among those.
        ends_R: the keys that each sees.
    """

    rows_R: Tensor
    first: int
    slots: int
    within_R: Tensor
    ends_R: Tensor
    length: int
    masks: dict[int | None, Tensor] = field(default_factory=dict)


class SlotAttention:
    """Attention in one step; the same for all layers."""

    def __init__(self, layout: Layout, cache: SlotCache, dtype: torch.dtype) -> None:
        self._layout = layout
        self._cache = cache
        self._dtype = dtype
        self._groups = _groups(layout)
        self._block_masks: dict[tuple[int, int, int | None], Tensor] = {}

    def attend(self, layer: int, q_NHD: Tensor, k_NKD: Tensor, v_NKE: Tensor, twist: Twist) -> Tensor:
        """Store what the tokens are known by, and let them look at their requests.

        Returns:
            (N, H, E).
        """
        layout, cache = self._layout, self._cache
        cache.store(layer, layout.slots, layout.positions, k_NKD, v_NKE)
        keys_CKWD, values_CKWE = cache.keys(layer), cache.values(layer)
        out_NHE = q_NHD.new_empty(*q_NHD.shape[:2], values_CKWE.shape[3])
        for group in self._groups:
            self._attend_single(group, q_NHD, keys_CKWD, values_CKWE, twist, out_NHE)
        for segment, at in list(zip(layout.segments, layout.offsets, strict=True))[layout.single :]:
            self._attend_piece(segment, at, q_NHD, keys_CKWD[segment.slot], values_CKWE[segment.slot], twist, out_NHE)
        return out_NHE

    def _attend_single(
        self, group: _Group, q_NHD: Tensor, keys_CKWD: Tensor, values_CKWE: Tensor, twist: Twist, out_NHE: Tensor
    ) -> None:
        heads, length = keys_CKWD.shape[1], group.length
        span = slice(group.first, group.first + group.slots)
        q_RGD = q_NHD.new_zeros(group.slots, *q_NHD.shape[1:])
        q_RGD[group.within_R] = q_NHD[group.rows_R]
        mask_R1L = group.masks.get(twist.window)
        if mask_R1L is None:
            mask_R1L = group.masks[twist.window] = self._single_mask(group, twist.window, heads)
        out_RGE = _softmax_product(
            q_RGD.view(group.slots * heads, -1, q_NHD.shape[2]),
            _matrices(keys_CKWD[span], length),
            _matrices(values_CKWE[span], length),
            mask_R1L,
            twist,
            heads,
        )
        out_NHE[group.rows_R] = out_RGE.view(group.slots, q_NHD.shape[1], -1)[group.within_R]

    def _single_mask(self, group: _Group, window: int | None, heads: int) -> Tensor:
        places_L = torch.arange(group.length, device=self._layout.device)
        ends_R = group.ends_R.new_ones(group.slots)  # slots that are not asked see their first key
        ends_R[group.within_R] = group.ends_R
        visible_RL = places_L < ends_R[:, None]
        if window is not None:
            visible_RL &= places_L >= (ends_R - window)[:, None]
        return self._to_add(visible_RL).repeat_interleave(heads, 0)[:, None]

    def _attend_piece(
        self,
        segment: Segment,
        at: int,
        q_NHD: Tensor,
        keys_KWD: Tensor,
        values_KWE: Tensor,
        twist: Twist,
        out_NHE: Tensor,
    ) -> None:
        heads = keys_KWD.shape[0]
        first = segment.start
        while first < segment.end:
            block = first // BLOCK
            end = min((block + 1) * BLOCK, segment.end)
            length = keys_read((block + 1) * BLOCK)
            rows = slice(at + first - segment.start, at + end - segment.start)
            q_KQGD = q_NHD[rows].view(end - first, heads, -1, q_NHD.shape[2]).transpose(0, 1)
            out_KQGE = _softmax_product(
                q_KQGD.reshape(heads, -1, q_NHD.shape[2]),
                keys_KWD[:, :length],
                values_KWE[:, :length],
                self._block_mask(first, end, twist.window, q_KQGD.shape[2]),
                twist,
                heads,
            ).view(heads, end - first, -1, values_KWE.shape[2])
            out_NHE[rows] = out_KQGE.transpose(0, 1).reshape(end - first, q_NHD.shape[1], -1)
            first = end

    def _block_mask(self, first: int, end: int, window: int | None, groups: int) -> Tensor:
        """(1, Q G, L)."""
        key = (first, end, window)
        found = self._block_masks.get(key)
        if found is None:
            device = self._layout.device
            length = keys_read((first // BLOCK + 1) * BLOCK)
            places_L = torch.arange(length, device=device)
            queries_Q1 = torch.arange(first, end, device=device)[:, None]
            visible_QL = places_L <= queries_Q1
            if window is not None:
                visible_QL &= places_L > queries_Q1 - window
            found = self._block_masks[key] = self._to_add(visible_QL).repeat_interleave(groups, 0)[None]
        return found

    def _to_add(self, visible: Tensor) -> Tensor:
        shut = torch.full((), float("-inf"), dtype=self._dtype, device=visible.device)
        return torch.where(visible, torch.zeros((), dtype=self._dtype, device=visible.device), shut)


def _groups(layout: Layout) -> list[_Group]:
    """The single tokens by how many keys they read and by neighbouring slots."""
    lengths: dict[int, list[int]] = {}
    for number, segment in enumerate(layout.segments[: layout.single]):
        lengths.setdefault(max(keys_read(segment.end), STEP), []).append(number)
    groups = []
    for numbers in lengths.values():
        for rows in _runs(sorted(numbers, key=lambda row: layout.segments[row].slot), layout):
            slots = [layout.segments[row].slot for row in rows]
            ends = [layout.segments[row].end for row in rows]
            groups.append(
                _Group(
                    rows_R=torch.tensor(rows, device=layout.device),
                    first=slots[0],
                    slots=slots[-1] - slots[0] + 1,
                    within_R=torch.tensor([slot - slots[0] for slot in slots], device=layout.device),
                    ends_R=torch.tensor(ends, device=layout.device),
                    length=keys_read(max(ends)),
                )
            )
    return groups


def _runs(rows: list[int], layout: Layout) -> list[list[int]]:
    """Rows whose slots follow one another, with GAP unused slots between two of them at most."""
    runs: list[list[int]] = []
    for row in rows:
        if not runs or layout.segments[row].slot - layout.segments[runs[-1][-1]].slot > GAP + 1:
            runs.append([])
        runs[-1].append(row)
    return runs


def _matrices(rows_RKWD: Tensor, length: int) -> Tensor:
    """The first keys of some slots, one matrix a head (R K, L, D), without copying them."""
    slots, heads, _, size = rows_RKWD.shape
    return rows_RKWD.view(slots * heads, -1, size)[:, :length]


def _softmax_product(q_PQD: Tensor, k_PLD: Tensor, v_PLE: Tensor, mask: Tensor, twist: Twist, heads: int) -> Tensor:
    """The formula, for P pairs of a request and a key head."""
    if twist.softcap is None:
        scores_PQL = torch.baddbmm(mask, q_PQD, k_PLD.transpose(1, 2), alpha=twist.scaling)
    else:
        scores_PQL = torch.bmm(q_PQD, k_PLD.transpose(1, 2)).mul_(twist.scaling / twist.softcap)
        scores_PQL = scores_PQL.tanh_().mul_(twist.softcap).add_(mask)
    if twist.sinks_H is None:
        return torch.bmm(torch.softmax(scores_PQL, -1), v_PLE)
    sinks_PQ1 = _sinks(twist.sinks_H.to(scores_PQL.dtype), scores_PQL, heads)
    weights_PQL = torch.softmax(torch.cat((scores_PQL, sinks_PQ1), -1), -1)[..., :-1]
    return torch.bmm(weights_PQL, v_PLE)


def _sinks(sinks_H: Tensor, scores_PQL: Tensor, heads: int) -> Tensor:
    """The sink of each row of scores: pairs are requests by key heads, rows are queries by the heads of a group."""
    pairs, rows, _ = scores_PQL.shape
    groups = len(sinks_H) // heads
    sinks = sinks_H.view(1, heads, 1, groups).expand(pairs // heads, heads, rows // groups, groups)
    return sinks.reshape(pairs, rows, 1)
