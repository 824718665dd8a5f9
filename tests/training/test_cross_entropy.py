from __future__ import annotations

import pytest
import torch
from torch import nn

from loresmith.training import cross_entropy
from loresmith.training.cross_entropy import linear_cross_entropy


def case(rows: int, width: int, vocabulary: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(rows, width, generator=generator).requires_grad_()
    weight = (0.3 * torch.randn(vocabulary, width, generator=generator)).requires_grad_()
    targets = torch.randint(0, vocabulary, (rows,), generator=generator)
    return hidden, weight, targets, torch.rand(rows, generator=generator)


@pytest.mark.parametrize("z", [0.0, 0.1])
@pytest.mark.parametrize("rows_at_once", [1, 7, 1000])
def test_value_and_gradients_are_those_of_the_plain_formula(
    z: float, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_entropy, "LOGITS_AT_MOST", 50 * rows_at_once)
    hidden, weight, targets, weights = case(33, 16, 50)
    loss, nll = linear_cross_entropy(hidden, weight, targets, weights, z)

    logits = hidden @ weight.t()
    plain_nll = (nn.functional.cross_entropy(logits, targets, reduction="none") * weights).sum()
    plain = plain_nll + z * (logits.logsumexp(-1).square() * weights).sum()
    assert torch.allclose(loss, plain, rtol=1e-5)
    assert torch.allclose(nll, plain_nll, rtol=1e-5)
    ours = torch.autograd.grad(loss / 3, (hidden, weight))
    for mine, exact in zip(ours, torch.autograd.grad(plain / 3, (hidden, weight)), strict=True):
        assert torch.allclose(mine, exact, rtol=1e-4, atol=1e-6)


def test_a_row_of_weight_zero_counts_for_nothing() -> None:
    hidden, weight, targets, weights = case(10, 8, 20)
    weights[4] = 0.0
    loss, _ = linear_cross_entropy(hidden, weight, targets, weights)
    (gradient,) = torch.autograd.grad(loss, hidden)
    assert not gradient[4].any()
    assert gradient[3].any()


def test_bf16_stays_near_fp32() -> None:
    hidden, weight, targets, weights = case(64, 32, 300)
    exact, _ = linear_cross_entropy(hidden, weight, targets, weights)
    low = [tensor.detach().bfloat16().requires_grad_() for tensor in (hidden, weight)]
    loss, _ = linear_cross_entropy(*low, targets, weights)
    assert loss.dtype == torch.float32
    assert torch.allclose(loss, exact, rtol=5e-3)
    for mine, true in zip(torch.autograd.grad(loss, low), torch.autograd.grad(exact, (hidden, weight)), strict=True):
        assert (mine.float() - true).norm() < 0.02 * true.norm()


def test_the_logits_of_the_batch_are_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "LOGITS_AT_MOST", 4 * 1000)
    hidden, weight, targets, weights = case(400, 4, 1000)
    with torch.profiler.profile(profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        linear_cross_entropy(hidden, weight, targets, weights)[0].backward()
    largest = max(event.self_cpu_memory_usage // max(1, event.count) for event in profile.key_averages())
    assert largest < 400 * 1000 * 4 / 10
