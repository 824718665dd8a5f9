"""Keys and values of all requests, in slots that are laid out once.

A slot holds one request's positions 0, 1, 2 ... side by side, so that attention reads it as a plain matrix. Memory that
no position has reached yet is not taken from the machine: the operating system hands out pages when they are written.

Legend: C slots, W positions of a slot, K key-value heads, D size of a key, E of a value, N tokens of a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

GRAIN = 64
"""Keys are read in multiples of this many."""

BLOCK = 128
"""Queries of a prompt that are computed at a time."""

STEP = 1024
"""Up to so many keys, what attention computes does not depend on how many of them are masked; beyond, the number read
follows from the request's own length alone."""


def keys_read(end: int) -> int:
    """How many keys are read for a query that sees `end` of them: the rest is masked.

    A function of the query's own position, but for the choice among multiples of GRAIN up to STEP: matrix products add
    up longer sums in blocks whose size follows from the length, and another one would round differently.
    """
    if end <= STEP:
        return -(-end // GRAIN) * GRAIN
    return STEP << (-(-end // STEP) - 1).bit_length()


@dataclass
class _Layer:
    keys_CKWD: Tensor
    values_CKWE: Tensor


class SlotCache:
    """The slots of one model.

    Args:
        slots: how many there are.
        window: positions that each must hold.
        dtype, device: of keys and values.
    """

    def __init__(self, slots: int, window: int, dtype: torch.dtype, device: torch.device) -> None:
        self.slots = slots
        self.capacity = keys_read(-(-window // BLOCK) * BLOCK)
        self._dtype, self._device = dtype, device
        self._layers: dict[int, _Layer] = {}

    def store(self, layer: int, slots_N: Tensor, positions_N: Tensor, keys_NKD: Tensor, values_NKE: Tensor) -> None:
        """Keep the keys and values of a step's tokens."""
        kept = self._layers.get(layer)
        if kept is None:
            kept = self._layers[layer] = _Layer(self._zeros(keys_NKD), self._zeros(values_NKE))
        kept.keys_CKWD[slots_N, :, positions_N] = keys_NKD
        kept.values_CKWE[slots_N, :, positions_N] = values_NKE

    def keys(self, layer: int) -> Tensor:
        """(C, K, W, D)."""
        return self._layers[layer].keys_CKWD

    def values(self, layer: int) -> Tensor:
        """(C, K, W, E)."""
        return self._layers[layer].values_CKWE

    @torch.inference_mode()
    def copy_beginning(self, source: int, target: int, positions: int) -> None:
        """Give one slot the first positions of another."""
        for layer in self._layers.values():
            for rows in (layer.keys_CKWD, layer.values_CKWE):
                rows[target, :, :positions] = rows[source, :, :positions]

    def bytes_of_a_position(self) -> int:
        """Memory that one position of one request takes up."""
        return sum(
            rows.shape[1] * rows.shape[3] * rows.element_size()
            for layer in self._layers.values()
            for rows in (layer.keys_CKWD, layer.values_CKWE)
        )

    def _zeros(self, like_NKD: Tensor) -> Tensor:
        # Zeros, since what is masked is still multiplied, and what memory holds by chance may be no number.
        heads, size = like_NKD.shape[1:]
        return torch.zeros(self.slots, heads, self.capacity, size, dtype=self._dtype, device=self._device)
