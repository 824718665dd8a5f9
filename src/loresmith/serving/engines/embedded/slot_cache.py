"""Keys and values of all requests, in slots that are laid out once.

A slot holds one request's positions. Slots stand in banks, and a bank's memory goes by blocks of GRAIN positions: first
the first block of all its slots, then the second. So the first blocks of a bank are one contiguous batch of matrices,
which one operation multiplies without copying them first (profile in docs/log.md). The first two banks have BANK slots
and each further one as many as all before it: a few requests read a small bank, and many few banks.

Memory that no position has reached yet is not taken from the machine: the operating system hands out pages when they
are written.

Legend: J blocks, C slots of a bank, X cells (a block of a slot), K key-value heads, P positions of a block (GRAIN), D
size of a key or value, N tokens of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from loresmith.serving.engines.embedded.layout import Layout

GRAIN = 64
"""Positions of a block: keys are read in multiples of this many."""

BANK = 8
"""Slots of the first bank."""

BLOCK = 128
"""Queries of a prompt that are computed at a time; a multiple of GRAIN."""


def blocks_of(positions: int) -> int:
    """How many blocks hold so many positions."""
    return -(-positions // GRAIN)


@dataclass(frozen=True)
class Bank:
    """Neighbouring slots: from `begin`, `size` of them."""

    begin: int
    size: int


def banks_of(slots: int) -> list[Bank]:
    """All banks of so many slots, in their order."""
    banks = [Bank(0, BANK)]
    while (begin := banks[-1].begin + banks[-1].size) < slots:
        banks.append(Bank(begin, begin))
    last = banks.pop()
    return [*banks, Bank(last.begin, min(last.size, slots - last.begin))]


@dataclass
class Places:
    """Where the tokens of a step go, in all layers.

    Attributes:
        cells_N: in which cell each.
        within_N: at which position of it.
    """

    cells_N: Tensor
    within_N: Tensor
    _rows: dict[int, Tensor] = field(default_factory=dict)

    def rows(self, heads: int) -> Tensor:
        """The rows of the flat memory of a layer with so many key-value heads; int64 (N K,)."""
        found = self._rows.get(heads)
        if found is None:
            matrices_NK = self.cells_N[:, None] * heads + torch.arange(heads, device=self.cells_N.device)
            found = self._rows[heads] = (matrices_NK * GRAIN + self.within_N[:, None]).flatten()
        return found


@dataclass
class _Layer:
    keys_XKPD: Tensor
    values_XKPD: Tensor


class SlotCache:
    """The slots of one model.

    Args:
        slots: how many there are.
        window: positions that each must hold.
        dtype, device: of keys and values.

    Attributes:
        banks: the bank of each slot.
    """

    def __init__(self, slots: int, window: int, dtype: torch.dtype, device: torch.device) -> None:
        self.slots = slots
        self.banks = [bank for bank in banks_of(slots) for _ in range(bank.size)]
        self._blocks = -(-window // BLOCK) * (BLOCK // GRAIN)
        self._dtype, self._device = dtype, device
        self._layers: dict[int, _Layer] = {}

    def places(self, layout: Layout) -> Places:
        """Where a step's tokens go."""
        cells = [
            self._cell(segment.slot, position // GRAIN)
            for segment in layout.segments
            for position in range(segment.start, segment.end)
        ]
        return Places(torch.tensor(cells, device=self._device), layout.positions % GRAIN)

    def store(self, layer: int, places: Places, keys_NKD: Tensor, values_NKD: Tensor) -> None:
        """Keep the keys and values of a step's tokens."""
        keys_XKPD, values_XKPD = self.of_layer(layer, keys_NKD, values_NKD)
        rows = places.rows(keys_NKD.shape[1])
        keys_XKPD.view(-1, keys_NKD.shape[2]).index_copy_(0, rows, keys_NKD.flatten(0, 1))
        values_XKPD.view(-1, values_NKD.shape[2]).index_copy_(0, rows, values_NKD.flatten(0, 1))

    def of_layer(self, layer: int, keys_NKD: Tensor, values_NKD: Tensor) -> tuple[Tensor, Tensor]:
        """All keys of a layer (X, K, P, D) and all values; a slot's lie where `cells_of` says.

        Args:
            keys_NKD, values_NKD: some of them, for their sizes.
        """
        kept = self._layers.get(layer)
        if kept is None:
            kept = self._layers[layer] = _Layer(self._zeros(keys_NKD), self._zeros(values_NKD))
        return kept.keys_XKPD, kept.values_XKPD

    def cells_of(self, slot: int) -> tuple[int, int]:
        """The cell of a slot's first block, and how many cells further its next one is each time."""
        return self._cell(slot, 0), self.banks[slot].size

    def of_slot(self, layer: int, slot: int, blocks: int) -> tuple[Tensor, Tensor]:
        """The first positions of one slot: its keys (K, J P, D) in one run, and its values (J, K, P, D) by blocks."""
        kept = self._layers[layer]
        bank = self.banks[slot]
        first = self._blocks * bank.begin + slot - bank.begin
        cells = slice(first, first + (blocks - 1) * bank.size + 1, bank.size)
        return kept.keys_XKPD[cells].transpose(0, 1).flatten(1, 2), kept.values_XKPD[cells].contiguous()

    def of_bank(self, layer: int, bank: Bank, blocks: int, within: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The first blocks of some slots of a bank (J, C, K, P, D), of keys and of values.

        Args:
            within: which; all of the bank's are given without copying.
        """
        kept = self._layers[layer]
        begin = self._blocks * bank.begin
        cells = slice(begin, begin + blocks * bank.size)
        keys, values = (
            tensor[cells].view(blocks, bank.size, *tensor.shape[1:]) for tensor in (kept.keys_XKPD, kept.values_XKPD)
        )
        if len(within) == bank.size:
            return keys, values
        chosen = torch.tensor(within, device=self._device)
        return keys.index_select(1, chosen), values.index_select(1, chosen)

    @torch.inference_mode()
    def copy_beginning(self, source: int, target: int, positions: int) -> None:
        """Give one slot the first positions of another."""
        blocks = blocks_of(positions)
        sources = [self._cell(source, block) for block in range(blocks)]
        targets = [self._cell(target, block) for block in range(blocks)]
        for layer in self._layers.values():
            for kept in (layer.keys_XKPD, layer.values_XKPD):
                kept[targets] = kept[sources]

    def _cell(self, slot: int, block: int) -> int:
        bank = self.banks[slot]
        return self._blocks * bank.begin + block * bank.size + slot - bank.begin

    def _zeros(self, like_NKD: Tensor) -> Tensor:
        # Zeros, since what is masked is still multiplied, and what memory holds by chance may be no number.
        heads, size = like_NKD.shape[1:]
        shape = (len(self.banks) * self._blocks, heads, GRAIN, size)
        return torch.zeros(shape, dtype=self._dtype, device=self._device)
