"""Keys and values of all requests, in slots that are laid out once.

A slot holds one request's positions. Slots stand in banks of BANK, and a bank's memory goes by blocks of GRAIN
positions: first the first block of all its slots, then the second. So the first blocks of a bank are one contiguous
batch of matrices, which oneDNN multiplies without copying them first; in any other order it copies all keys and values
for every token (profile in docs/log.md).

Memory that no position has reached yet is not taken from the machine: the operating system hands out pages when they
are written.

Legend: Z banks, J blocks, C slots of a bank (BANK), K key-value heads, P positions of a block (GRAIN), D size of a key
or value, N tokens of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from loresmith.serving.engines.embedded.layout import Layout

GRAIN = 64
"""Positions of a block: keys are read in multiples of this many."""

BANK = 8
"""Slots of a bank."""

BLOCK = 128
"""Queries of a prompt that are computed at a time; a multiple of GRAIN."""


def blocks_of(positions: int) -> int:
    """How many blocks hold so many positions."""
    return -(-positions // GRAIN)


@dataclass
class _Layer:
    keys_ZJCKPD: Tensor
    values_ZJCKPD: Tensor


class SlotCache:
    """The slots of one model.

    Args:
        slots: how many there are.
        window: positions that each must hold.
        dtype, device: of keys and values.
    """

    def __init__(self, slots: int, window: int, dtype: torch.dtype, device: torch.device) -> None:
        self.slots = slots
        self._banks = -(-slots // BANK)
        self._blocks = -(-window // BLOCK) * (BLOCK // GRAIN)
        self._dtype, self._device = dtype, device
        self._layers: dict[int, _Layer] = {}

    @staticmethod
    def places(layout: Layout) -> tuple[Tensor, ...]:
        """Where a step's tokens go: bank, block, slot of the bank, position of the block; int64 (N,) each."""
        slots_N, positions_N = layout.slots, layout.positions
        return slots_N // BANK, positions_N // GRAIN, slots_N % BANK, positions_N % GRAIN

    def store(self, layer: int, places: tuple[Tensor, ...], keys_NKD: Tensor, values_NKD: Tensor) -> None:
        """Keep the keys and values of a step's tokens."""
        kept = self._layers.get(layer)
        if kept is None:
            kept = self._layers[layer] = _Layer(self._zeros(keys_NKD), self._zeros(values_NKD))
        bank_N, block_N, slot_N, position_N = places
        kept.keys_ZJCKPD[bank_N, block_N, slot_N, :, position_N] = keys_NKD
        kept.values_ZJCKPD[bank_N, block_N, slot_N, :, position_N] = values_NKD

    def of_bank(self, layer: int, bank: int, blocks: int, within: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The first blocks of some slots of a bank (J, C, K, P, D), of keys and of values.

        Args:
            within: which; all of the bank's are given without copying.
        """
        kept = self._layers[layer]
        keys, values = kept.keys_ZJCKPD[bank, :blocks], kept.values_ZJCKPD[bank, :blocks]
        if len(within) == BANK:
            return keys, values
        chosen = torch.tensor(within, device=self._device)
        return keys.index_select(1, chosen), values.index_select(1, chosen)

    @torch.inference_mode()
    def copy_beginning(self, source: int, target: int, positions: int) -> None:
        """Give one slot the first positions of another."""
        blocks = blocks_of(positions)
        for layer in self._layers.values():
            for kept in (layer.keys_ZJCKPD, layer.values_ZJCKPD):
                begun = kept[source // BANK, :blocks, source % BANK]
                kept[target // BANK, :blocks, target % BANK] = begun

    def _zeros(self, like_NKD: Tensor) -> Tensor:
        # Zeros, since what is masked is still multiplied, and what memory holds by chance may be no number.
        heads, size = like_NKD.shape[1:]
        shape = (self._banks, self._blocks, BANK, heads, GRAIN, size)
        return torch.zeros(shape, dtype=self._dtype, device=self._device)
