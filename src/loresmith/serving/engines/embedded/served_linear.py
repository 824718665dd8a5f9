"""Linear maps for serving: weights laid out for few rows at a time, several maps in one, adapters by row.

oneDNN reads a weight that was reordered beforehand half again to twice as fast where a step has few tokens, and gives
the same numbers to the bit. The operators for that are torch's own, and private; where they are missing, or the weights
are not on a CPU, the plain product is used.

Legend: N tokens of a step, I width of the input, O of the output, A rank of an adapter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

Then = Literal["none", "swish", "mul", "add"]
"""What is done with a product before it is rounded."""


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

    def silu(self, x_NI: Tensor, adapters: Mapping[int, Tensor]) -> Tensor:
        """silu(W x + b), in one operation where no adapter changes W."""
        if self.updates:
            return nn.functional.silu(self(x_NI, adapters))
        return self._product(x_NI, "swish")

    def times(self, x_NI: Tensor, factor_NO: Tensor, adapters: Mapping[int, Tensor]) -> Tensor:
        """(W x + b) * factor; as `silu`."""
        if self.updates:
            return self(x_NI, adapters).mul_(factor_NO)
        return self._product(x_NI, "mul", factor_NO)

    def plus(self, x_NI: Tensor, summand_NO: Tensor, adapters: Mapping[int, Tensor]) -> Tensor:
        """W x + b + summand; as `silu`."""
        if self.updates:
            return self(x_NI, adapters).add_(summand_NO)
        return self._product(x_NI, "add", summand_NO)

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


class Product(Protocol):
    """x -> f(x W^T + b) for x (N, I).

    Args:
        then: f: none; silu ("swish", as oneDNN calls it); the product with `other` or the sum with it, both (N, O).
    """

    def __call__(self, x_NI: Tensor, then: Then = "none", other_NO: Tensor | None = None) -> Tensor: ...


def packed_product(weight_OI: Tensor, bias_O: Tensor | None) -> Product:
    """The product with a weight that is laid out for it; what follows on it is done before anything is rounded."""
    if weight_OI.device.type != "cpu" or not _packs(weight_OI.dtype):
        return _plain_product(weight_OI, bias_O)
    # The private operators keep to one form whatever the number of rows is.
    packed = torch.ops.mkldnn._reorder_linear_weight(weight_OI.contiguous(), 1)
    pointwise = torch.ops.mkldnn._linear_pointwise

    def product(x_NI: Tensor, then: Then = "none", other_NO: Tensor | None = None) -> Tensor:
        rows = len(x_NI)
        if rows == 1:
            # One row alone goes another way, which adds up in another order; it is given a second.
            x_NI = torch.cat((x_NI, x_NI))
            other_NO = None if other_NO is None else torch.cat((other_NO, other_NO))
        if other_NO is None:
            return pointwise(x_NI, packed, bias_O, then, [], "")[:rows]  # type: ignore[no-any-return]
        return pointwise.binary(x_NI, other_NO, packed, bias_O, then)[:rows]  # type: ignore[no-any-return]

    return product


def _plain_product(weight_OI: Tensor, bias_O: Tensor | None) -> Product:
    def product(x_NI: Tensor, then: Then = "none", other_NO: Tensor | None = None) -> Tensor:
        y_NO = nn.functional.linear(x_NI, weight_OI, bias_O)
        if then == "swish":
            return nn.functional.silu(y_NO)
        if other_NO is None:
            return y_NO
        return y_NO.mul_(other_NO) if then == "mul" else y_NO.add_(other_NO)

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
