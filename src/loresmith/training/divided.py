"""Tensors of which each process holds a part (DTensors), and those of which it has all, looked at alike."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor


def own_part(tensor: Tensor) -> Tensor:
    """What this process has of a tensor: a view of the same memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """The tensor itself, or put together from its parts; then all processes call this, and all get it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part_of(like: DTensor, own: Tensor) -> DTensor:
    """A tensor divided as another is, of which this process has this part."""
    return DTensor.from_local(
        own, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )


def norm_of_all(tensors: Iterable[Tensor]) -> float:
    """The norm of all elements of some tensors; where processes hold parts of them, all call this.

    It is the same to the bit however many processes rows are divided among: each row has its norm in fp32, and these
    are added in fp64, whose rounding is lost in that of the result to fp32. A plain sum in fp32 would depend on its
    order, and a factor that is off by its last bit changes every weight.
    """
    rows, divided_rows = [], []
    for tensor in tensors:
        own = own_part(tensor)
        norms = torch.linalg.vector_norm(own, dim=-1).flatten() if own.ndim > 1 else own.abs().flatten()
        if isinstance(tensor, DTensor):
            mesh = tensor.device_mesh
            replicas = math.prod(mesh.size(n) for n, placed in enumerate(tensor.placements) if placed.is_replicate())
            divided_rows.append(norms / math.sqrt(replicas) if replicas > 1 else norms)
        else:
            rows.append(norms)
    square = torch.zeros((), dtype=torch.float64)
    if divided_rows:
        square = torch.cat(divided_rows).double().square().sum()
        torch.distributed.all_reduce(square)
    if rows:
        square = square + torch.cat(rows).double().square().sum()
    return float(square.sqrt().float())
