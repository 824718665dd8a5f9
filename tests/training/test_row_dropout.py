"""Dropout by row: how a batch is cut changes nothing, and what is computed again is what was computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from loresmith.models.adapter_settings import AdapterSettings
from loresmith.models.adapters import add_adapter
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.attention import use
from loresmith.models.build import build_model
from loresmith.training.causal_lm import CausalLM
from loresmith.training.loop import Trainer
from loresmith.training.objective import Batch, MicroBatch
from loresmith.training.optimiser import Optimiser
from loresmith.training.predictor import Predictor
from loresmith.training.row_dropout import RowDropout, drops_out
from loresmith.training.schedule import ScheduleSettings
from loresmith.training.settings import OptimiserSettings

LENGTHS = (24, 9, 16, 24, 3, 24, 11, 20)
SHAPE = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}
MODELS: dict[str, dict[str, Any]] = {
    "attention": {"model_type": "llama", "overrides": {**SHAPE, "intermediate_size": 48, "attention_dropout": 0.3}},
    "everywhere": {
        "model_type": "gpt2",
        "overrides": {
            "n_layer": 2,
            "n_embd": 32,
            "n_head": 2,
            "embd_pdrop": 0.1,
            "resid_pdrop": 0.1,
            "attn_pdrop": 0.2,
        },
    },
    "heads beside rows": {
        "model_type": "xglm",
        "overrides": {"num_layers": 1, "d_model": 32, "attention_heads": 2, "ffn_dim": 48, "attention_dropout": 0.2},
    },
    "an adapter": {"model_type": "llama", "overrides": {**SHAPE, "intermediate_size": 48}},
}


def new_trainer(kind: str, attention: str = "sdpa", again: bool = False) -> Trainer:
    config = transformers_config(Architecture(**MODELS[kind]), vocabulary_size=60, positions=32)
    model = build_model(config, seed=0)
    model.set_attn_implementation(attention)
    if attention == "ours":
        assert use(model)
    model.get_output_embeddings().weight.data.normal_(generator=torch.Generator().manual_seed(0))
    if kind == "an adapter":
        add_adapter(model, AdapterSettings(rank=4, dropout=0.3), seed=0)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:  # zero at first, and then what is before it has no gradient
                parameter.data.normal_(generator=torch.Generator().manual_seed(1))
    predictor = Predictor(model)
    if again:
        predictor.checkpoint_activations()
    optimiser = Optimiser(model, OptimiserSettings(), torch.float32)
    trainer = Trainer(predictor, optimiser, ScheduleSettings(), 10**6, seed=0)
    predictor.train()
    return trainer


def micro_batch(rows: range) -> MicroBatch:
    """Some of eight rows of very different lengths, padded to the longest."""
    length = max(LENGTHS[row] for row in rows)
    ids, weights = torch.zeros(len(rows), length + 1, dtype=torch.int64), torch.zeros(len(rows), length)
    for line, row in enumerate(rows):
        drawn = torch.randint(0, 60, (LENGTHS[row] + 1,), generator=torch.Generator().manual_seed(row))
        ids[line, : len(drawn)], weights[line, : LENGTHS[row]] = drawn, 1.0
    return MicroBatch(ids[:, :-1], ids[:, 1:], weights, first_row=rows[0], window=max(LENGTHS))


def gradients(trainer: Trainer, at_once: int, step: int = 0) -> tuple[float, Mapping[str, Tensor]]:
    parts = tuple(micro_batch(range(first, min(first + at_once, 8))) for first in range(0, 8, at_once))
    trainer.step = step
    loss = trainer.forward_backward(Batch(parts, 8 * 24), CausalLM())
    found = {name: m.grad.clone() for name, m in trainer.optimiser.masters.items() if m.grad is not None}
    trainer.drop_collected()
    return loss, found


def alike(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return all(torch.allclose(a[name], b[name], rtol=1e-3, atol=1e-6) for name in a) and a.keys() == b.keys()


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", MODELS)
def test_how_a_batch_is_cut_decides_nothing(kind: str, attention: str) -> None:
    trainer = new_trainer(kind, attention)
    loss, exact = gradients(trainer, 8)
    for at_once in (1, 3, 4):
        other, found = gradients(trainer, at_once)
        assert other == pytest.approx(loss, rel=1e-5)
        assert alike(found, exact)
    assert not alike(gradients(trainer, 8, step=1)[1], exact)


@pytest.mark.parametrize("kind", MODELS)
def test_activations_that_are_computed_again_lose_the_same(kind: str) -> None:
    kept, again = new_trainer(kind), new_trainer(kind, again=True)
    assert gradients(again, 4)[0] == gradients(kept, 4)[0]
    assert alike(gradients(again, 4)[1], gradients(kept, 4)[1])


def test_attention_is_torchs_own_where_nothing_is_dropped() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, heads, 7, 8, generator=generator) for heads in (4, 2, 2))
    mask = torch.rand(2, 1, 7, 7, generator=generator) < 0.7
    mask |= torch.eye(7, dtype=torch.bool)
    added = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)
    for kwargs in ({"is_causal": True}, {"attn_mask": mask}, {"attn_mask": added, "scale": 0.3}):
        expected = functional.scaled_dot_product_attention(query, key, value, enable_gqa=True, **kwargs)
        with RowDropout().of(MicroBatch(torch.zeros(2, 7), torch.zeros(2, 7), torch.ones(2, 7)), 0):
            # So little that nothing is ever dropped, and ours is taken.
            found = functional.scaled_dot_product_attention(
                query, key, value, dropout_p=1e-12, enable_gqa=True, **kwargs
            )
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_mask_keeps_its_share_and_every_row_step_and_place_has_its_own() -> None:
    part = MicroBatch(torch.zeros(4, 500), torch.zeros(4, 500), torch.ones(4, 500))
    with RowDropout().of(part, seed=0):
        first, second = (functional.dropout(torch.ones(4, 500, 8), 0.3) for _ in range(2))
    with RowDropout().of(part, seed=1):
        other = functional.dropout(torch.ones(4, 500, 8), 0.3)
    assert first.unique().tolist() == [0.0, pytest.approx(1 / 0.7)]
    assert (first == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    for a, b in [(first, second), (first, other), (first[0], first[1])]:
        assert ((a == 0) & (b == 0)).float().mean().item() == pytest.approx(0.09, abs=0.02)


def test_models_that_drop_nothing_are_left_alone() -> None:
    config = transformers_config(Architecture(layers=1, width=32, head_dim=16), vocabulary_size=60, positions=32)
    model = build_model(config, seed=0)
    assert not drops_out(model)
    assert Predictor(model).dropout is None
