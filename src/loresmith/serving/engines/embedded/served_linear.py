"""Linear maps for serving: weights laid out for few rows at a time, several maps in one, adapters by row.

oneDNN reads a weight that was reordered beforehand half again to twice as fast where a step has few tokens, and gives
the same numbers to the bit. The operators for that are torch's own, and private; where they are missing, or the weights
are not on a CPU, the plain product is used.

Legend: N tokens of a step, I width of the input, O of the output, A rank of an adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class LowRank:
    """One adapter's update of one map: scale B A."""

    a_AI: Tensor
    b_OA: Tensor
    scale: float


class ServedLinear:
    """One or several linear maps of the same input as one.

    Args:
        maps: nn.Linear modules; their outputs lie side by side in this order.

    Attributes:
        updates: by the number of an adapter and of a map, the adapter's update of it.
    """

    def __init__(self, maps: Sequence[nn.Linear]) -> None:
        weight_OI = torch.cat([map_.weight.detach() for map_ in maps]) if len(maps) > 1 else maps[0].weight.detach()
        self.sizes = [map_.out_features for map_ in maps]
        self._bias_O = _biases(maps)
        self._product = packed_product(weight_OI, self._bias_O)
        self.updates: dict[tuple[int, int], LowRank] = {}

    def __call__(self, x_NI: Tensor, adapters: Mapping[int, Tensor]) -> Tensor:
        """The outputs (N, O) side by side.

        Args:
            adapters: for each adapter of the step the rows that it is for, see `Layout.adapters`.
        """
        y_NO = self._product(x_NI)
        for number, rows_R in adapters.items():
            self._add_update(number, rows_R, x_NI, y_NO)
        return y_NO

    def _add_update(self, number: int, rows_R: Tensor, x_NI: Tensor, y_NO: Tensor) -> None:
        begin = 0
        x_RI = None
        for map_number, size in enumerate(self.sizes):
            update = self.updates.get((number, map_number))
            if update is not None:
                x_RI = x_NI[rows_R].to(update.a_AI.dtype) if x_RI is None else x_RI
                change_RO = (x_RI @ update.a_AI.T @ update.b_OA.T).mul_(update.scale)
                part_NO = y_NO[:, begin : begin + size]
                part_NO.index_add_(0, rows_R, change_RO.to(y_NO.dtype))
            begin += size


def packed_product(weight_OI: Tensor, bias_O: Tensor | None) -> Callable[[Tensor], Tensor]:
    """x -> x W^T + b for x (N, I)."""
    if weight_OI.device.type != "cpu" or not _packs(weight_OI.dtype):
        return lambda x_NI: nn.functional.linear(x_NI, weight_OI, bias_O)
    # The private operators keep to one form whatever the number of rows is.
    packed = torch.ops.mkldnn._reorder_linear_weight(weight_OI.contiguous(), 1)
    pointwise = torch.ops.mkldnn._linear_pointwise

    def product(x_NI: Tensor) -> Tensor:
        if len(x_NI) == 1:
            # One row alone goes another way, which adds up in another order; it is given a second.
            return pointwise(torch.cat((x_NI, x_NI)), packed, bias_O, "none", [], "")[:1]  # type: ignore[no-any-return]
        return pointwise(x_NI, packed, bias_O, "none", [], "")  # type: ignore[no-any-return]

    return product


def _packs(dtype: torch.dtype) -> bool:
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not available or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _biases(maps: Sequence[nn.Linear]) -> Tensor | None:
    if all(map_.bias is None for map_ in maps):
        return None
    return torch.cat(
        [map_.weight.new_zeros(map_.out_features) if map_.bias is None else map_.bias.detach() for map_ in maps]
    )
