"""Muon: Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024).

`torch.optim.Muon`, whose Newton-Schulz iteration this uses and whose updates it makes to the bit, steps whole matrices.
This one also steps experts that lie together in one tensor (E, rows, columns), each as a matrix of its own, and
matrices that are divided among processes (DTensors). Momentum and the step itself go element by element, so that each
process makes them for its part; only the iteration needs a whole matrix. The processes take the matrices in turns: all
put their parts together, one makes each orthogonal, and sends it round. What is sent is bf16, in which the iteration
computes anyway. Experts are divided by expert: every process has whole matrices there, and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.optim._muon import DEFAULT_A, DEFAULT_B, DEFAULT_C, EPS, _adjust_lr, _zeropower_via_newtonschulz

from loresmith.training.divided import own_part, part_of


class Muon(torch.optim.Optimizer):
    """Steps matrices and stacks of matrices; where they are divided, all processes call `step` together.

    Args:
        params: of two dimensions, or of three where the first counts matrices.
        lr, weight_decay, momentum, ns_steps: as `torch.optim.Muon` has them.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, weight_decay: float, momentum: float, ns_steps: int
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "ns_steps": ns_steps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            stepped = [param for param in group["params"] if param.grad is not None]
            apart = [param for param in stepped if isinstance(param, DTensor) and param.ndim == 2]
            for param in stepped:
                if not any(param is divided for divided in apart):
                    _require_whole_matrices(param)
                    _move(param, _orthogonal(self._update(param, group), group), group)
            at_once = distributed.get_world_size() if apart else 1
            for start in range(0, len(apart), at_once):
                self._step_in_turns(apart[start : start + at_once], group)

    def _update(self, param: Tensor, group: dict[str, Any]) -> Tensor:
        """What is to be made orthogonal: the gradient with Nesterov's momentum; this process's part of it."""
        assert param.grad is not None
        state = self.state[param]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(param.grad)
        buffer, gradient = own_part(state["momentum_buffer"]), own_part(param.grad)
        buffer.lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(buffer, group["momentum"])

    def _step_in_turns(self, params: Sequence[DTensor], group: dict[str, Any]) -> None:
        """As many divided matrices as there are processes: each makes one of them orthogonal."""
        rank, own = distributed.get_rank(), torch.empty(0)
        for number, param in enumerate(params):
            gathered = part_of(param, self._update(param, group).bfloat16()).full_tensor()
            if number == rank:
                own = _orthogonal(gathered, group)
        for owner, param in enumerate(params):
            result = own if owner == rank else torch.empty(param.shape, dtype=torch.bfloat16, device=param.device)
            distributed.broadcast(result, src=owner)
            _move(
                param,
                own_part(distribute_tensor(result, param.device_mesh, param.placements, src_data_rank=None)),
                group,
            )


def _orthogonal(update: Tensor, group: dict[str, Any]) -> Tensor:
    """bf16; matrix by matrix where there are several."""
    if update.ndim == 3:
        return torch.stack([_orthogonal(matrix, group) for matrix in update]) if len(update) else update
    return _zeropower_via_newtonschulz(update, (DEFAULT_A, DEFAULT_B, DEFAULT_C), group["ns_steps"], EPS).contiguous()


def _move(param: Tensor, orthogonal: Tensor, group: dict[str, Any]) -> None:
    """Step a parameter, or this process's part of it, by as much of the orthogonal update."""
    own = own_part(param)
    own.mul_(1 - group["lr"] * group["weight_decay"])
    own.add_(orthogonal, alpha=-_adjust_lr(group["lr"], None, param.shape[-2:]))


def _require_whole_matrices(param: Tensor) -> None:
    if isinstance(param, DTensor) and any(p.is_shard() and p != Shard(0) for p in param.placements):
        raise NotImplementedError(f"a stack of matrices that is divided within them: {param.placements}")
