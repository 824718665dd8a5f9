"""Muon of many matrices at once is that of one after the other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from loresmith.training.muon import TOGETHER, Muon

SHAPES = [(48, 32)] * (TOGETHER + 3) + [(32, 48), (32, 32), (1, 40), (40, 1), (32, 48)]
SETTINGS = {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.95, "ns_steps": 5}


def gradients(step: int, shapes: list[tuple[int, ...]]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(step)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def test_it_is_torchs_to_the_bit() -> None:
    ours, theirs = ([torch.nn.Parameter(weights) for weights in gradients(0, SHAPES)] for _ in range(2))
    steppers = (Muon(ours, **SETTINGS), torch.optim.Muon(theirs, nesterov=True, **SETTINGS))
    for step in range(1, 4):
        for params, stepper in zip((ours, theirs), steppers, strict=True):
            for param, gradient in zip(params, gradients(step, SHAPES), strict=True):
                param.grad = gradient
            stepper.step()
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other), tuple(mine.shape)


@pytest.mark.parametrize("experts", [1, 4, TOGETHER + 1])
def test_a_stack_of_matrices_is_stepped_as_they_would_be_apart(experts: int) -> None:
    (start,) = gradients(0, [(experts, 48, 32)])
    stack, apart = torch.nn.Parameter(start.clone()), [torch.nn.Parameter(matrix.clone()) for matrix in start]
    alone = torch.nn.Parameter(start[0].clone())
    together, each = Muon([stack, alone], **SETTINGS), Muon(apart, **SETTINGS)
    for step in range(1, 4):
        (gradient,) = gradients(step, [(experts, 48, 32)])
        stack.grad, alone.grad = gradient, gradient[0].clone()
        for param, own in zip(apart, gradient, strict=True):
            param.grad = own.clone()
        together.step()
        each.step()
    assert all(torch.equal(matrix, param) for matrix, param in zip(stack, apart, strict=True))
    assert torch.equal(alone, apart[0])
