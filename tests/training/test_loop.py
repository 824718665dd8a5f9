from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from loresmith.data.shards import TokenShards
from loresmith.errors import Failure
from loresmith.factory.step import InputAsset
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.linear_maps import Conv1D
from loresmith.training.batches import RowBatches
from loresmith.training.causal_lm import CausalLM
from loresmith.training.loop import StepReport, Trainer
from loresmith.training.muon import Muon
from loresmith.training.objective import Batch, MicroBatch
from loresmith.training.optimiser import Optimiser
from loresmith.training.parameter_groups import group_parameters, transposed_matrices
from loresmith.training.predictor import Predictions, Predictor
from loresmith.training.schedule import ScheduleSettings
from loresmith.training.settings import OptimiserSettings
from loresmith.training.stream_rows import StreamRows


def new_trainer(dtype: torch.dtype = torch.float32, **settings: object) -> Trainer:
    config = transformers_config(Architecture(layers=2, width=32, head_dim=16), vocabulary_size=300, positions=64)
    model = build_model(config, seed=0)
    optimiser = Optimiser(model, OptimiserSettings(**settings), dtype)
    return Trainer(Predictor(model), optimiser, ScheduleSettings(warmup_tokens=128), budget_tokens=64 * 60, seed=0)


def in_parts(batch: Batch, rows: int) -> Batch:
    """The same batch in micro-batches of so many sequences."""
    joined = [
        torch.cat([getattr(part, name) for part in batch.micro_batches]) for name in ("inputs", "targets", "weights")
    ]
    return Batch(
        tuple(MicroBatch(*part) for part in zip(*(tensor.split(rows) for tensor in joined), strict=True)), batch.tokens
    )


@pytest.fixture
def batches(tokens: InputAsset) -> RowBatches:
    return RowBatches(StreamRows(TokenShards.open(tokens.directory).split("train"), 16), 16, 128, 128, seed=0)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: master.detach().clone() for name, master in trainer.optimiser.masters.items()}


@pytest.mark.parametrize("masked", ["none", "uneven", "a whole micro-batch", "all but one token"])
def test_eight_micro_batches_of_one_are_one_of_eight(batches: RowBatches, masked: str) -> None:
    trainer = new_trainer()
    objective = CausalLM()
    for step in range(4):
        batch = in_parts(batches.batch(step), 8)
        mask = batch.micro_batches[0].weights
        if masked == "uneven":
            mask[torch.rand(mask.shape, generator=torch.Generator().manual_seed(step)) < 0.6] = 0.0
        elif masked == "a whole micro-batch":
            mask[3] = 0.0
        elif masked == "all but one token":
            mask[:] = 0.0
            mask[5, 7] = 1.0
        one_by_one = trainer.forward_backward(in_parts(batch, 1), objective)
        accumulated = {name: master.grad.clone() for name, master in trainer.optimiser.masters.items()}
        trainer.drop_collected()
        at_once = trainer.forward_backward(batch, objective)
        assert one_by_one == pytest.approx(at_once, rel=1e-5)
        for name, master in trainer.optimiser.masters.items():
            assert torch.allclose(master.grad, accumulated[name], rtol=1e-3, atol=1e-6), name
        trainer.optim_step()


def test_the_gradient_of_an_accumulated_batch_is_that_of_the_mean_loss(batches: RowBatches) -> None:
    trainer = new_trainer()
    trainer.model.get_output_embeddings().weight.data.normal_(generator=torch.Generator().manual_seed(0))
    plain = copy.deepcopy(trainer.model)
    batch = batches.batch(0)
    trainer.forward_backward(in_parts(batch, 3), CausalLM())
    (part,) = in_parts(batch, 8).micro_batches
    logits = plain(part.inputs).logits
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), part.targets.flatten()).backward()
    for (name, mine), (_, exact) in zip(trainer.model.named_parameters(), plain.named_parameters(), strict=True):
        assert torch.allclose(mine.grad, exact.grad, rtol=1e-3, atol=1e-6), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_learns(batches: RowBatches, dtype: torch.dtype) -> None:
    trainer = new_trainer(dtype)
    reports: list[StepReport] = []

    class Listening:
        def after_step(self, trainer: Trainer, report: StepReport) -> None:
            reports.append(report)

    trainer.train(batches.batch, 30, CausalLM(), [Listening()])
    assert reports[0].loss == pytest.approx(math.log(300), rel=0.01)
    assert reports[-1].loss < 0.5 * reports[0].loss
    assert [report.step for report in reports] == list(range(1, 31))
    assert [report.tokens for report in reports] == [128 * step for step in range(1, 31)]


def test_masters_collect_what_bf16_would_lose() -> None:
    trainer = new_trainer(torch.bfloat16, matrix_learning_rate=1e-6)
    name = "model.layers.0.mlp.up_proj.weight"
    before = trainer.optimiser.masters[name].clone()
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        for parameter in trainer.model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator).bfloat16()
        trainer.optimiser.collect()
        trainer.optimiser.step(1.0)
    assert trainer.model.get_parameter(name).dtype == torch.bfloat16
    moved = (trainer.optimiser.masters[name] - before) != 0
    assert moved.float().mean() > 0.9
    assert trainer.model.model.rotary_emb.inv_freq.dtype == torch.float32


def test_every_parameter_is_trained_by_one_group() -> None:
    model = new_trainer().model
    groups = group_parameters(model)
    assert sorted(name for names in groups.values() for name in names) == sorted(n for n, _ in model.named_parameters())
    assert groups["embedding"] == ["model.embed_tokens.weight"]
    assert groups["head"] == ["lm_head.weight"]
    assert len(groups["matrix"]) == 2 * 7
    assert all("norm" in name for name in groups["other"])


def test_muon_trains_the_matrices_and_adamw_the_rest() -> None:
    trainer = new_trainer()
    masters = {id(master): name for name, master in trainer.optimiser.masters.items()}
    trained = {
        type(optimiser): sorted(masters[id(p)] for group in optimiser.param_groups for p in group["params"])
        for optimiser in trainer.optimiser._optimisers
    }
    groups = group_parameters(trainer.model)
    rest = sorted(name for group, names in groups.items() if group != "matrix" for name in names)
    assert trained == {Muon: sorted(groups["matrix"]), torch.optim.AdamW: rest}


@pytest.mark.parametrize("optimiser", ["muon", "adamw"])
def test_a_matrix_that_lies_the_other_way_round_is_trained_as_any_other(optimiser: str) -> None:
    class Lying(torch.nn.Module):
        def __init__(self, map_: torch.nn.Module) -> None:
            super().__init__()
            self.map = map_

    usual, transposed = Lying(torch.nn.Linear(48, 16)), Lying(Conv1D(16, 48))
    transposed.map.weight.data.copy_(usual.map.weight.data.T)
    before, weight = usual.map.weight.detach().clone(), {}
    for model in (usual, transposed):
        stepped = Optimiser(model, OptimiserSettings(optimiser=optimiser, reference_width=256), torch.float32)
        assert group_parameters(model)["matrix"] == ["map.weight"]
        for step in range(3):
            gradient = torch.randn(16, 48, generator=torch.Generator().manual_seed(step))
            model.map.weight.grad = gradient.T.contiguous() if model is transposed else gradient
            stepped.step(1.0)
        weight[model] = model.map.weight.detach()
    apart, moved = (weight[usual] - other for other in (weight[transposed].T, before))
    assert apart.abs().max() < 0.02 * moved.abs().max(), "bf16 rounds the two ways round differently"


def test_experts_that_lie_the_other_way_round_are_known() -> None:
    config = AutoConfig.for_model(
        "gpt_oss", num_hidden_layers=1, hidden_size=32, intermediate_size=64, num_local_experts=4, vocab_size=300,
        head_dim=16, num_attention_heads=2, num_key_value_heads=1,
    )  # fmt: skip
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    groups, transposed = group_parameters(model), transposed_matrices(model)
    assert {name.rpartition(".")[2] for name in transposed & set(groups["matrix"])} == {"gate_up_proj", "down_proj"}
    assert not any("self_attn" in name for name in transposed)


def test_what_fails_in_the_middle_of_a_batch_leaves_nothing_collected(batches: RowBatches) -> None:
    class Failing(CausalLM):
        def loss(self, predictions: Predictions, micro_batch: MicroBatch) -> tuple[Tensor, Tensor]:
            if micro_batch.first_row:
                raise RuntimeError("the second micro-batch")
            return super().loss(predictions, micro_batch)

    norms = []
    for fails in (False, True):
        trainer = new_trainer()
        if fails:
            parts = in_parts(batches.batch(0), 4).micro_batches
            numbered = tuple(replace(part, first_row=4 * number) for number, part in enumerate(parts))
            with pytest.raises(RuntimeError):
                trainer.forward_backward(Batch(numbered, 128), Failing())
        trainer.forward_backward(batches.batch(1), CausalLM())
        norms.append(trainer.optim_step().gradient_norm)
    assert norms[0] == norms[1]


def test_a_state_read_on_the_cpu_goes_where_the_weights_are() -> None:
    trainer = new_trainer()
    for master in trainer.optimiser.masters.values():
        master.grad = torch.ones_like(master)
    trainer.optimiser.step(1.0)
    masters, state = weights(trainer), trainer.optimiser.state()
    with torch.device("meta"):
        elsewhere = Optimiser(build_on(trainer), OptimiserSettings(), torch.float32)
    elsewhere.load(masters, state)
    kept = [value for _, of in elsewhere._states() for value in of.values() if isinstance(value, torch.Tensor)]
    assert len(kept) > 20
    assert {value.device.type for value in kept} == {"meta"}


def build_on(trainer: Trainer) -> torch.nn.Module:
    return AutoModelForCausalLM.from_config(trainer.model.config)


def spoil(trainer: Trainer) -> None:
    trainer.optimiser.masters["lm_head.weight"].grad[0, 0] = float("inf")


def test_a_step_that_is_not_finite_is_skipped_and_counted(batches: RowBatches) -> None:
    trainer = new_trainer()
    for step in range(3):
        before, learnt = weights(trainer), dict(trainer.learnt)
        trainer.forward_backward(batches.batch(step), CausalLM())
        if step == 1:
            spoil(trainer)
        report = trainer.optim_step()
        assert report.skipped == (step == 1)
        if report.skipped:
            assert all(torch.equal(before[name], after) for name, after in weights(trainer).items())
            assert trainer.learnt == learnt
    assert (trainer.step, trainer.skipped, trainer.skipping) == (3, [1], 0)
    assert trainer.learnt == {"tokens": 2 * 128}


def test_too_many_skipped_steps_in_a_row_end_it_with_a_diagnosis(batches: RowBatches) -> None:
    trainer = new_trainer()
    collect = trainer.optimiser.collect

    def collect_and_spoil() -> None:
        collect()
        if trainer.step != 2:
            spoil(trainer)

    trainer.optimiser.collect = collect_and_spoil  # type: ignore[method-assign]
    with pytest.raises(Failure, match="diverged: 10 steps in a row") as caught:
        trainer.train(batches.batch, 60, CausalLM())
    assert caught.value.where == "step 4 and on"
    assert "the gradient of lm_head.weight" in caught.value.what
    assert trainer.skipped == [0, 1, *range(3, 13)]


def test_a_batch_of_which_nothing_counts_is_refused(batches: RowBatches) -> None:
    trainer = new_trainer()
    batch = batches.batch(0)
    for part in batch.micro_batches:
        part.weights.zero_()
    with pytest.raises(Failure, match="no token"):
        trainer.forward_backward(batch, CausalLM())


@pytest.mark.parametrize("model_type", ["gemma2", "granite", "qwen3"])
def test_the_objective_is_the_models_own_cross_entropy_even_if_it_bends_its_logits(model_type: str) -> None:
    shape = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2}
    extra = {"granite": {"logits_scaling": 8.0}, "gemma2": {"final_logit_softcapping": 3.0, "head_dim": 16}}.get(
        model_type, {}
    )
    architecture = Architecture(model_type=model_type, overrides={**shape, "intermediate_size": 48, **extra})
    model = build_model(transformers_config(architecture, vocabulary_size=60, positions=32), seed=0)
    model.get_output_embeddings().weight.data.normal_(generator=torch.Generator().manual_seed(0))
    ids = torch.randint(0, 60, (2, 17), generator=torch.Generator().manual_seed(1))
    predictor = Predictor(model)
    part = MicroBatch(ids[:, :-1], ids[:, 1:], torch.ones(2, 16))
    _, nll = CausalLM().loss(predictor.predict(part), part)
    logits = model(ids[:, :-1]).logits.float()
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum")
    assert torch.allclose(nll, expected, rtol=1e-4)
    assert predictor.linear_head == (model_type == "qwen3")


def test_batches_collected_before_a_step_are_one_however_unevenly_they_count(batches: RowBatches) -> None:
    trainer, objective = new_trainer(), CausalLM()
    first, second = (in_parts(batches.batch(step), 8) for step in (0, 1))
    second.micro_batches[0].weights[2:] = 0.0
    both = Batch(first.micro_batches + second.micro_batches, 256)
    mean = trainer.forward_backward(both, objective)
    at_once = {name: master.grad.clone() for name, master in trainer.optimiser.masters.items()}
    trainer.drop_collected()
    losses = [trainer.forward_backward(batch, objective) for batch in (first, second)]
    for name, master in trainer.optimiser.masters.items():
        assert torch.allclose(master.grad, at_once[name], rtol=1e-3, atol=1e-6), name
    report = trainer.optim_step()
    assert (report.step, report.tokens) == (1, 256)
    assert report.loss == pytest.approx(mean, rel=1e-6)
    assert mean == pytest.approx((losses[0] * 128 + losses[1] * 32) / 160, rel=1e-6)


def test_a_step_without_a_gradient_is_refused() -> None:
    with pytest.raises(Failure, match="no gradient"):
        new_trainer().optim_step()


def test_a_gradient_is_clipped_to_its_largest_norm_and_its_norm_before_is_reported() -> None:
    trainer = new_trainer(gradient_clip=0.5)
    generator = torch.Generator().manual_seed(0)
    for size in (3.0, 0.01):
        for master in trainer.optimiser.masters.values():
            master.grad = torch.randn(master.shape, generator=generator) * size
        flat = torch.cat([master.grad.flatten() for master in trainer.optimiser.masters.values()])
        norm = trainer.optimiser.clip()
        assert norm == pytest.approx(flat.norm().item(), rel=1e-5)
        clipped = torch.cat([master.grad.flatten() for master in trainer.optimiser.masters.values()])
        assert torch.allclose(clipped, flat * min(1.0, 0.5 / norm), rtol=1e-5)
    assert norm > 0.5 * 0.5  # otherwise the small one was nothing to leave alone


def test_averages_follow_the_weights_and_become_them() -> None:
    trainer = new_trainer(average_decay=0.9)
    generator = torch.Generator().manual_seed(0)
    averages = weights(trainer)
    for update in range(1, 13):
        for master in trainer.optimiser.masters.values():
            master.grad = torch.randn(master.shape, generator=generator)
        trainer.optimiser.step(1.0)
        decay = min(0.9, (1 + update) / (10 + update))
        for name, master in trainer.optimiser.masters.items():
            averages[name] = decay * averages[name] + (1 - decay) * master.detach()
    assert not torch.allclose(averages["lm_head.weight"], trainer.model.lm_head.weight, rtol=1e-2)
    trainer.optimiser.use_averages()
    for name, parameter in trainer.model.named_parameters():
        assert torch.allclose(parameter, averages[name], rtol=1e-4, atol=1e-6), name
