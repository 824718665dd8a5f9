"""Muon: Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024).

`torch.optim.Muon`, whose Newton-Schulz iteration this has and whose updates it makes to the bit, steps one whole matrix
after the other. This one takes those of one shape together, in batched products. It also steps experts that lie
together in one tensor (E, rows, columns), each as a matrix of its own, and matrices that are divided among processes
(DTensors). Momentum and the step itself go element by element, so that each process makes them for its part; only the
iteration needs a whole matrix. The processes take the matrices in turns: all put their parts together, one makes each
orthogonal, and sends it round. What is sent is bf16, in which the iteration computes anyway. Experts are divided by
expert: every process has whole matrices there, and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.optim._muon import DEFAULT_A, DEFAULT_B, DEFAULT_C, EPS, _adjust_lr

from loresmith.training.divided import own_part, part_of

TOGETHER = 16
"""Matrices that are made orthogonal in one go: enough for a batched product, few enough to stay in a cache."""


class Muon(torch.optim.Optimizer):
    """Steps matrices and stacks of matrices; where they are divided, all processes call `step` together.

    Args:
        params: of two dimensions, or of three where the first counts matrices; or groups of them, of which those of a
            group with `transposed` are stored as (inputs, outputs).
        lr, weight_decay, momentum, ns_steps: as `torch.optim.Muon` has them.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        weight_decay: float,
        momentum: float,
        ns_steps: int,
    ) -> None:
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "ns_steps": ns_steps}
        super().__init__(params, {**defaults, "transposed": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            stepped = [param for param in group["params"] if param.grad is not None]
            apart = [param for param in stepped if isinstance(param, DTensor) and param.ndim == 2]
            divided = {id(param) for param in apart}
            for alike in _alike([param for param in stepped if id(param) not in divided]):
                self._step_together(alike, group)
            at_once = distributed.get_world_size() if apart else 1
            for start in range(0, len(apart), at_once):
                self._step_in_turns(apart[start : start + at_once], group)

    def _step_together(self, params: Sequence[Tensor], group: dict[str, Any]) -> None:
        """Matrices, or stacks of them, of one shape."""
        for param in params:
            _require_whole_matrices(param)
        updates = [self._update(param, group).bfloat16() for param in params]
        whole = _orthogonal(torch.cat([update.view(-1, *update.shape[-2:]) for update in updates]), group)
        first = 0
        for param, update in zip(params, updates, strict=True):
            last = first + (len(update) if update.ndim == 3 else 1)
            _move(param, whole[first:last].view_as(update), group)
            first = last

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


def _alike(params: Sequence[Tensor]) -> list[list[Tensor]]:
    """Parameters whose matrices have one shape, `TOGETHER` matrices at a time or one stack."""
    groups: list[list[Tensor]] = []
    filling: dict[torch.Size, tuple[list[Tensor], int]] = {}
    for param in params:
        shape, count = own_part(param).shape[-2:], 1 if param.ndim == 2 else len(own_part(param))
        group, held = filling.get(shape, ([], TOGETHER))
        if held + count > TOGETHER:
            group, held = [], 0
            groups.append(group)
        group.append(param)
        filling[shape] = (group, held + count)
    return groups


def _orthogonal(update: Tensor, group: dict[str, Any]) -> Tensor:
    """Of matrices (B, rows, columns) or of one, in bf16: all singular values near one, by Newton-Schulz iterations.

    As `torch.optim.Muon` computes it, to the bit, but for several matrices in one product.
    """
    x = update.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    if x.ndim == 2:
        x = x.unsqueeze(0)
    x = torch.stack([matrix / matrix.norm().clamp(min=EPS) for matrix in x]) if len(x) else x
    for _ in range(group["ns_steps"]):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=DEFAULT_B, alpha=DEFAULT_C)
        x = torch.baddbmm(x, polynomial, x, beta=DEFAULT_A)
    if tall:
        x = x.mT
    return x.reshape(update.shape).contiguous()


def _move(param: Tensor, orthogonal: Tensor, group: dict[str, Any]) -> None:
    """Step a parameter, or this process's part of it, by as much of the orthogonal update."""
    own = own_part(param)
    own.mul_(1 - group["lr"] * group["weight_decay"])
    rows, columns = param.shape[-2:]
    shape = torch.Size((columns, rows) if group["transposed"] else (rows, columns))
    own.add_(orthogonal, alpha=-_adjust_lr(group["lr"], None, shape))


def _require_whole_matrices(param: Tensor) -> None:
    if isinstance(param, DTensor) and any(p.is_shard() and p != Shard(0) for p in param.placements):
        raise NotImplementedError(f"a stack of matrices that is divided within them: {param.placements}")
