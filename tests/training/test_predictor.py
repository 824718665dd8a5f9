"""What a model says of a batch is what its own logits say, by formulas in fp64, whether they are whole or in chunks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from loresmith.training import predictor
from loresmith.training.objective import MicroBatch
from loresmith.training.predictor import Predictions, Predictor
from tests.models.tiny_families import VOCABULARY, tiny_model

Z = 0.03
CAPPED = "gemma2"
"""Its logits go through 30 tanh(l / 30) ..."""
SCALED = "granite"
"""... and those of this one are divided by a constant, so that neither is a product of hidden states and a matrix."""


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def micro_batch() -> MicroBatch:
    generator = torch.Generator().manual_seed(1)
    ids_BT = torch.randint(0, VOCABULARY, (3, 8), generator=generator)
    return MicroBatch(ids_BT[:, :-1], ids_BT[:, 1:], torch.rand(3, 7, generator=generator).round(decimals=1))


def by_the_formula(logits_NV: Tensor, targets: list[int], weights: list[float], z: float) -> tuple[float, Tensor]:
    """sum_n w_n (lse_n - l_target + z lse_n^2), and its gradient by the logits, w_n (p + 2 z lse_n p - onehot)."""
    total, gradient = 0.0, torch.zeros(logits_NV.shape, dtype=torch.float64)
    for n, row in enumerate(logits_NV.double().tolist()):
        largest = max(row)
        normaliser = largest + math.log(sum(math.exp(logit - largest) for logit in row))
        total += weights[n] * (normaliser - row[targets[n]] + z * normaliser**2)
        for v, logit in enumerate(row):
            p = math.exp(logit - normaliser)
            gradient[n, v] = weights[n] * (p + 2 * z * normaliser * p - (v == targets[n]))
    return total, gradient


@pytest.mark.parametrize("family", [CAPPED, SCALED, "qwen3"])
@pytest.mark.parametrize("z", [0.0, Z])
def test_the_loss_of_a_batch_is_the_formula_s_on_the_model_s_own_logits(family: str, z: float) -> None:
    model: Any = tiny_model(family)
    if family == CAPPED:  # so large that the cap bends them
        model.get_output_embeddings().weight.data.mul_(20)
    elif family == SCALED:
        model.config.logits_scaling = 4.0
    batch = micro_batch()
    predictions = Predictor(model).predict(batch)
    assert (predictions.logits_NV is None) == (family == "qwen3")
    targets_N, weights_N = batch.targets.flatten(), batch.weights.flatten()
    loss, shown = predictions.cross_entropy(targets_N, weights_N, z)
    logits_NV = model(input_ids=batch.inputs, use_cache=False).logits.detach().flatten(0, 1)
    expected, gradient_NV = by_the_formula(logits_NV, targets_N.tolist(), weights_N.tolist(), z)
    plain, _ = by_the_formula(logits_NV, targets_N.tolist(), weights_N.tolist(), 0.0)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert shown.item() == pytest.approx(plain, rel=1e-5)
    if predictions.logits_NV is not None:
        (ours_NV,) = torch.autograd.grad(loss, predictions.logits_NV)
        assert torch.allclose(ours_NV.double(), gradient_NV, rtol=1e-4, atol=1e-6)


N, V = 11, 50


@pytest.fixture(params=["whole", "in chunks"])
def predictions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Predictions:
    """Logits of 11 positions: given, or to be made four positions at a time."""
    monkeypatch.setattr(predictor, "LOGITS_AT_MOST", 4 * V + 1)
    if request.param == "whole":
        return Predictions(None, None, draw(N, V).requires_grad_())
    return Predictions(draw(N, 4).requires_grad_(), draw(V, 4, seed=1).requires_grad_(), None)


def leaves_of(predictions: Predictions) -> list[Tensor]:
    parts = (predictions.hidden_ND, predictions.weight_VD, predictions.logits_NV)
    return [part for part in parts if part is not None]


def logits_of(leaves: list[Tensor]) -> Tensor:
    return leaves[0] @ leaves[1].t() if len(leaves) == 2 else leaves[0]


def test_chunks_are_all_rows_once_and_in_order(predictions: Predictions) -> None:
    numbers_N = torch.arange(N)
    pieces = predictions.in_chunks(lambda logits_CV, rows: torch.stack([numbers_N[rows].float(), logits_CV[:, 7]]))
    assert len(pieces) == (1 if predictions.logits_NV is not None else 3)
    numbers, column = torch.cat(pieces, dim=1)
    assert numbers.tolist() == numbers_N.tolist()
    assert torch.allclose(column, logits_of(leaves_of(predictions))[:, 7], rtol=1e-5, atol=1e-6)


def test_log_probabilities_are_those_of_the_softmax_and_so_are_their_gradients(predictions: Predictions) -> None:
    leaves = leaves_of(predictions)
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    targets_N = torch.arange(N) * 3
    expected_N = logits_of(exact).log_softmax(-1)[torch.arange(N), targets_N]
    ours_N = predictions.log_probabilities(targets_N)
    assert ours_N.dtype == torch.float32
    assert torch.allclose(ours_N.double(), expected_N, rtol=1e-5, atol=1e-5)
    factors_N = draw(N, seed=2)
    ours = torch.autograd.grad((ours_N * factors_N).sum(), leaves)
    theirs = torch.autograd.grad((expected_N * factors_N).sum(), exact)
    for mine, true in zip(ours, theirs, strict=True):
        assert torch.allclose(mine.double(), true, rtol=1e-4, atol=1e-5)
