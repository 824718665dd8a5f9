"""Distillation: against formulas over the whole vocabulary in fp64, and nothing changes with how a batch is cut."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import kl_div

from loresmith.data.shards import TokenShards
from loresmith.factory.step import InputAsset
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.training.distillation import (
    TEACHER_IDS,
    TEACHER_LOG_PROBABILITIES,
    Distillation,
    divergence,
    outcomes,
)
from loresmith.training.objective import MicroBatch
from loresmith.training.optimiser import Optimiser
from loresmith.training.packed_rows import document_rows
from loresmith.training.predictor import Predictions, Predictor
from loresmith.training.settings import OptimiserSettings
from loresmith.training.teacher import TaughtBatches

V, B, T = 60, 3, 5


def draw(*shape: int, seed: int = 0, scale: float = 2.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def whole_vocabulary(which: str, teacher_NV: Tensor, student_NV: Tensor, temperature: float) -> Tensor:
    """The divergence (N,) by torch's own function, in the type of its arguments."""
    p, q = (torch.log_softmax(logits / temperature, -1) for logits in (teacher_NV, student_NV))
    of, to = (p, q) if which == "forward" else (q, p)
    return kl_div(to, of, log_target=True, reduction="none").sum(-1)


@pytest.mark.parametrize("which", ["forward", "reverse"])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_with_the_whole_vocabulary_it_is_the_divergence_of_torch(which: str, temperature: float) -> None:
    teacher_NV, student_NV = draw(7, V), draw(7, V, seed=1).requires_grad_()
    ids_NV = torch.stack([torch.randperm(V, generator=torch.Generator().manual_seed(n)) for n in range(7)])
    ours_N = divergence(which, outcomes(teacher_NV / temperature, ids_NV), outcomes(student_NV / temperature, ids_NV))
    theirs_N = whole_vocabulary(which, teacher_NV, student_NV, temperature)
    assert torch.allclose(ours_N, theirs_N, rtol=1e-12, atol=1e-13)
    gradients = [torch.autograd.grad(each.sum(), student_NV, retain_graph=True)[0] for each in (ours_N, theirs_N)]
    assert torch.allclose(*gradients, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("which", ["forward", "reverse"])
def test_the_rest_is_one_outcome_and_more_tokens_tell_more(which: str) -> None:
    teacher_NV, student_NV = draw(20, V), draw(20, V, seed=1)
    whole_N = whole_vocabulary(which, teacher_NV, student_NV, 1.0)
    before_N = torch.zeros(20, dtype=torch.float64)
    for likeliest in (1, 2, 5, 20, 59, 60):
        ids_NK = teacher_NV.topk(likeliest).indices
        ours_N = divergence(which, outcomes(teacher_NV, ids_NK), outcomes(student_NV, ids_NK))
        # the same by adding up probabilities, outcome by outcome
        p_NV, q_NV = teacher_NV.softmax(-1), student_NV.softmax(-1)
        expected_N = torch.zeros(20, dtype=torch.float64)
        for n in range(20):
            chosen = ids_NK[n].tolist()
            others = [token for token in range(V) if token not in chosen]
            for outcome in [[token] for token in chosen] + [others] * bool(others):
                p, q = p_NV[n, outcome].sum(), q_NV[n, outcome].sum()
                expected_N[n] += p * torch.log(p / q) if which == "forward" else q * torch.log(q / p)
        assert torch.allclose(ours_N, expected_N, rtol=1e-10, atol=1e-12)
        assert (ours_N >= before_N - 1e-12).all()
        assert (ours_N <= whole_N + 1e-12).all()
        before_N = ours_N
    assert torch.allclose(before_N, whole_N)


def test_what_a_teacher_rules_out_altogether_costs_nothing() -> None:
    teacher_NV = torch.tensor([[0.0, 1.0, -torch.inf]]).log_softmax(-1)
    student_NV = torch.tensor([[0.3, 0.2, 0.1]], requires_grad=True)
    loss = divergence("forward", teacher_NV, student_NV.log_softmax(-1)).sum()
    student_N2 = student_NV.detach().log_softmax(-1)[:, :2]
    assert float(loss) == pytest.approx(
        float((teacher_NV[:, :2].exp() * (teacher_NV[:, :2] - student_N2)).sum()), rel=1e-6
    )
    loss.backward()
    assert bool(student_NV.grad.isfinite().all())


def test_a_teacher_that_is_certain_gives_finite_gradients() -> None:
    teacher_NV = torch.zeros(2, V)
    teacher_NV[:, 3] = 200.0  # all others together: e^-196
    student_NV = torch.zeros(2, V, requires_grad=True)
    ids_NK = teacher_NV.topk(4).indices
    for which in ("forward", "reverse"):
        loss = divergence(which, outcomes(teacher_NV, ids_NK), outcomes(student_NV, ids_NK)).sum()
        (gradient,) = torch.autograd.grad(loss, student_NV)
        assert loss.isfinite()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("which", ["forward", "reverse"])
@pytest.mark.parametrize("form", ["hidden states", "logits"])
def test_the_loss_is_hintons_mixture(which: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loresmith.training.predictor.LOGITS_AT_MOST", 4 * V)  # several chunks
    temperature, share, z = 2.0, 0.7, 1e-2
    hidden_ND, weight_VD = draw(B * T, 16), draw(V, 16, seed=1, scale=0.5)
    leaves = [hidden_ND.float().requires_grad_(), weight_VD.float().requires_grad_()]
    exact = [hidden_ND.requires_grad_(), weight_VD.requires_grad_()]
    teacher_NV, targets_N = draw(B * T, V, seed=2), torch.arange(B * T) % V
    weights_N = torch.tensor([1.0, 0.0, 0.5] * 5)
    predictions = (
        Predictions(*leaves, None) if form == "hidden states" else Predictions(None, None, leaves[0] @ leaves[1].t())
    )
    ids_NK = teacher_NV.topk(V).indices
    part = MicroBatch(
        torch.zeros(B, T, dtype=torch.int64),
        targets_N.view(B, T),
        weights_N.view(B, T),
        extras={
            TEACHER_IDS: ids_NK.view(B, T, -1),
            TEACHER_LOG_PROBABILITIES: outcomes(teacher_NV / temperature, ids_NK).float().view(B, T, -1),
        },
    )
    objective = Distillation(which, temperature, share, z)
    loss, shown = objective.loss(predictions, part)

    logits_NV = exact[0] @ exact[1].t()
    soft_N = whole_vocabulary(which, teacher_NV, logits_NV, temperature)
    hard_N = -torch.log_softmax(logits_NV, -1)[torch.arange(B * T), targets_N]
    mixed_N = share * temperature**2 * soft_N + (1 - share) * hard_N
    expected = ((mixed_N + z * logits_NV.logsumexp(-1).square()) * weights_N).sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert shown.item() == pytest.approx((mixed_N * weights_N).sum().item(), rel=1e-5)
    assert objective.weight(part) == 7.5
    ours, theirs = torch.autograd.grad(loss, leaves), torch.autograd.grad(expected, exact)
    for mine, true in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, true.float(), rtol=1e-3, atol=1e-4)
    masked = (weights_N == 0).nonzero()[0]
    assert not ours[0][masked].any()


def test_temperature_keeps_the_size_of_the_soft_gradient() -> None:
    teacher_NV, student_NV = draw(50, V, scale=0.5), draw(50, V, seed=1, scale=0.5).requires_grad_()
    sizes = []
    for temperature in (4.0, 8.0, 16.0):
        soft = whole_vocabulary("forward", teacher_NV, student_NV, temperature).sum() * temperature**2
        ids_NV = torch.arange(V).expand(50, V)
        ours = divergence(
            "forward", outcomes(teacher_NV / temperature, ids_NV), outcomes(student_NV / temperature, ids_NV)
        )
        assert ours.sum().item() * temperature**2 == pytest.approx(soft.item())
        sizes.append(float(torch.autograd.grad(soft, student_NV)[0].norm()))
    assert max(sizes) / min(sizes) < 1.1


def model_of(seed: int, **shape: int) -> Predictor:
    architecture = Architecture(**{"layers": 2, "width": 32, "head_dim": 16, **shape})
    model = build_model(transformers_config(architecture, vocabulary_size=300, positions=96), seed)
    model.get_output_embeddings().weight.data.normal_(0, 0.5, generator=torch.Generator().manual_seed(seed))
    return Predictor(model)


@pytest.fixture
def taught(tokens: InputAsset) -> TaughtBatches:
    shards = TokenShards.open(tokens.directory)
    return TaughtBatches(
        document_rows(shards, "train", 96),
        sequence_length=96,
        batch_tokens=768,
        micro_batch_tokens=768,
        seed=0,
        teacher=model_of(5),
        likeliest=8,
        temperature=1.5,
        vocabulary_size=shards.vocabulary_size,
    )


def test_the_teacher_says_of_each_document_what_it_says_of_it_alone(taught: TaughtBatches) -> None:
    (part,) = taught.batch(3).micro_batches
    assert part.documents is not None
    assert (part.documents[:, 0] != part.documents[:, 60]).any(), "rows that hold several documents"
    model = taught.teacher.model
    assert not model.training
    for row in range(len(part.inputs)):
        for document in part.documents[row].unique():
            own = part.documents[row] == document
            logits_TV = model(part.inputs[row, own][None]).logits[0].float() / 1.5
            expected_TV = logits_TV.log_softmax(-1)
            ids_TK = part.extras[TEACHER_IDS][row, own]
            said_TO = part.extras[TEACHER_LOG_PROBABILITIES][row, own]
            assert torch.allclose(said_TO[:, :8], expected_TV.topk(8).values, atol=1e-4)
            assert torch.allclose(said_TO[:, :8], expected_TV.gather(1, ids_TK), atol=1e-4)
            assert torch.allclose(said_TO.exp().sum(-1), torch.ones(len(said_TO)), atol=1e-5)
    assert not part.extras[TEACHER_LOG_PROBABILITIES].requires_grad


def test_tokens_that_the_tokenizer_does_not_have_are_never_taught(taught: TaughtBatches) -> None:
    few = replace(taught, vocabulary_size=50, likeliest=64)
    (part,) = few.batch(0).micro_batches
    assert part.extras[TEACHER_IDS].shape[-1] == 50
    assert int(part.extras[TEACHER_IDS].max()) == 49
    assert part.extras[TEACHER_LOG_PROBABILITIES].shape[-1] == 51


@pytest.mark.parametrize("which", ["forward", "reverse"])
@pytest.mark.parametrize("masked", ["none", "uneven", "a whole micro-batch"])
def test_eight_micro_batches_of_one_are_one_of_eight(taught: TaughtBatches, which: str, masked: str) -> None:
    (whole,) = taught.batch(3).micro_batches
    assert whole.documents is not None
    if masked == "uneven":
        whole.weights[::2, 3:] = 0
    elif masked == "a whole micro-batch":
        whole.weights[5] = 0
    student = model_of(1)
    gradients, losses = [], []
    for rows in (8, 1):
        parts = [
            MicroBatch(
                whole.inputs[start : start + rows],
                whole.targets[start : start + rows],
                whole.weights[start : start + rows],
                whole.documents[start : start + rows],
                {name: extra[start : start + rows] for name, extra in whole.extras.items()},
                first_row=start,
            )
            for start in range(0, 8, rows)
        ]
        objective = Distillation(which, 1.5, 0.5)
        weight = sum(map(objective.weight, parts))
        student.model.zero_grad()
        loss = 0.0
        for part in parts:
            one, _ = objective.loss(student.predict(part), part)
            (one / weight).backward()
            loss += one.item() / weight
        losses.append(loss)
        gradients.append({name: p.grad.clone() for name, p in student.model.named_parameters() if p.grad is not None})
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], rtol=1e-3, atol=1e-6), name


@pytest.mark.parametrize("which", ["forward", "reverse"])
def test_a_student_comes_closer_to_its_teacher(taught: TaughtBatches, which: str) -> None:
    student = model_of(9, layers=1)
    optimiser = Optimiser(student.model, OptimiserSettings(), torch.float32)
    objective = Distillation(which, 1.5, 1.0)
    held_out = taught.batch(50)

    def distance() -> float:
        with torch.no_grad():
            return sum(
                float(objective.loss(student.predict(p), p)[1]) / objective.weight(p) for p in held_out.micro_batches
            )

    before = distance()
    for step in range(15):
        (part,) = taught.batch(step).micro_batches
        loss, _ = objective.loss(student.predict(part), part)
        (loss / objective.weight(part)).backward()
        optimiser.collect()
        optimiser.clip()
        optimiser.step(1.0)
        optimiser.forget()
    assert distance() < 0.7 * before
