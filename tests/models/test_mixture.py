from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.cpu_training import use_fast_parts
from loresmith.models.expert_groups import BLOCK, places
from loresmith.models.families import MOE
from loresmith.models.mixture import Mixture, use_grouped_products


def mixture(family: str, **keys: Any) -> Any:
    shape = {"layers": 2, "width": 32, "head_dim": 16, "experts": 6, "experts_per_token": 2, "expert_width": 16}
    config = transformers_config(Architecture(family=family, **{**shape, **keys}), vocabulary_size=97, positions=300)
    model = build_model(config, seed=0)
    model.get_output_embeddings().weight.data.normal_(generator=torch.Generator().manual_seed(0))
    return model


def ids(rows: int = 2, length: int = 200) -> torch.Tensor:
    return torch.randint(0, 97, (rows, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("family", MOE)
def test_a_mixture_with_fast_parts_computes_what_it_did(family: str) -> None:
    plain = mixture(family)
    fast = copy.deepcopy(plain)
    replaced = use_fast_parts(fast)
    assert (replaced["attention"], replaced["experts"], replaced["swiglu"]) == (1, 2, 0)
    assert replaced["rms_norm"] == (5 if family == "mixtral" else 9)

    plain.set_attn_implementation("eager")
    plain.set_experts_implementation("eager")
    for model in (plain, fast):
        model(ids()).logits.square().mean().backward()
    with torch.no_grad():
        assert torch.allclose(plain(ids()).logits, fast(ids()).logits, atol=1e-4)
    for (name, mine), (_, theirs) in zip(fast.named_parameters(), plain.named_parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("family", MOE)
def test_in_bf16_the_experts_are_one_grouped_product_and_no_loop(family: str) -> None:
    model = mixture(family).to(torch.bfloat16)
    use_fast_parts(model)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        model(ids(1, 40)).logits.float().square().mean().backward()
    calls = {event.key: event.count for event in profile.key_averages()}
    assert calls["aten::_grouped_mm"] == 2 * 2 * 3  # layers x matrices x (forward, two gradients)


def test_an_expert_that_no_token_chose_has_a_gradient_of_zero() -> None:
    model = mixture("mixtral").to(torch.bfloat16)
    use_fast_parts(model)
    router = model.model.layers[0].mlp.gate.weight
    router.data.zero_()  # ties go to the first experts
    model(ids(1, 4)).logits.float().square().mean().backward()
    gradient = model.model.layers[0].mlp.experts.gate_up_proj.grad
    used = gradient.flatten(1).any(dim=1)
    assert used.tolist().count(True) == 2
    assert bool(torch.isfinite(gradient).all())


def test_experts_of_a_size_that_kernels_refuse_are_computed_one_by_one() -> None:
    shape = {
        "num_hidden_layers": 1,
        "hidden_size": 36,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 20,
        "num_local_experts": 4,
        "head_dim": 18,
    }
    config = transformers_config(Architecture(model_type="mixtral", overrides=shape), vocabulary_size=97, positions=64)
    model = build_model(config, seed=0).to(torch.bfloat16)
    assert use_grouped_products(model) == 0
    model(ids(1, 20)).logits.float().sum().backward()


def test_a_dense_model_has_no_experts() -> None:
    config = transformers_config(Architecture(layers=1, width=32, head_dim=16), vocabulary_size=97, positions=64)
    model = build_model(config, seed=0)
    assert Mixture.of(model) is None
    assert use_grouped_products(model) == 0


def test_shared_experts_and_dense_layers_are_not_among_the_routed_ones() -> None:
    shape = {
        "num_hidden_layers": 3,
        "hidden_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 32,
        "moe_intermediate_size": 4,  # as many rows as a router has, in the shared expert
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
        "first_k_dense_replace": 1,
    }
    shape_of = Architecture(model_type="glm4_moe", overrides=shape)
    found = Mixture.of(build_model(transformers_config(shape_of, vocabulary_size=97, positions=64), seed=0))
    assert found is not None
    assert (found.count, found.active) == (4, 2)
    assert sorted(found.routers) == ["model.layers.1.mlp.gate", "model.layers.2.mlp.gate"]
    assert {name.rpartition(".")[0] for name in found.experts} == {
        "model.layers.1.mlp.experts",
        "model.layers.2.mlp.experts",
    }


@pytest.mark.parametrize("chosen", ["at random", "few", "one expert"])
def test_every_choice_has_a_place_among_its_expert_s_rows(chosen: str) -> None:
    generator = torch.Generator().manual_seed(0)
    experts = {
        "at random": torch.randint(0, 8, (333, 2), generator=generator),
        "few": torch.randint(2, 4, (5, 2), generator=generator),
        "one expert": torch.full((70, 1), 7),
    }[chosen]
    place, ends, rows = places(experts, 8)
    assert place.shape == experts.shape
    assert len(set(place.flatten().tolist())) == experts.numel()
    starts = torch.cat([torch.zeros(1, dtype=torch.int32), ends[:-1]])
    assert bool(((place >= starts[experts]) & (place < ends[experts])).all())
    assert bool((ends % BLOCK == 0).all())
    assert rows == int(ends[-1]) < experts.numel() + 8 * BLOCK
