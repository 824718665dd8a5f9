from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.cpu_training import use_fast_parts
from loresmith.models.families import MOE
from loresmith.models.offline import transformers
from loresmith.models.router_balance import balance_loss, load_balance, router_logits_of, routes


def mixture(family: str, **keys: Any) -> Any:
    shape = {"layers": 2, "width": 32, "head_dim": 16, "experts": 4, "experts_per_token": 2, "expert_width": 16}
    config = transformers_config(Architecture(family=family, **{**shape, **keys}), vocabulary_size=50, positions=64)
    return build_model(config, seed=0)


def some_ids(rows: int = 3, length: int = 20) -> torch.Tensor:
    return torch.randint(0, 50, (rows, length), generator=torch.Generator().manual_seed(1))


def some_mask() -> torch.Tensor:
    mask = torch.ones(3, 20, dtype=torch.int64)
    mask[0, 15:] = 0
    mask[2, :7] = 0
    return mask


def theirs(model: Any, logits: tuple[torch.Tensor, ...], mask: torch.Tensor | None) -> torch.Tensor:
    loss = sys.modules[type(model).__module__].load_balancing_loss_func
    result: torch.Tensor = loss(logits, model.num_experts, model.num_experts_per_tok, mask)
    return result


@pytest.mark.parametrize("family", MOE)
@pytest.mark.parametrize("masked", [False, True])
def test_each_layer_s_loss_is_that_of_transformers(family: str, masked: bool) -> None:
    model = mixture(family)
    mask = some_mask() if masked else None
    output = model.base_model(some_ids(), output_router_logits=True, use_cache=False)
    layers = [theirs(model, (logits,), mask) for logits in output.router_logits]
    ours = load_balance(router_logits_of(output), 2, mask).detach()
    assert len(layers) == 2
    assert float(ours) == pytest.approx(float(torch.stack(layers).mean().detach()), rel=1e-6)


@pytest.mark.parametrize("family", MOE)
def test_a_model_of_one_layer_has_the_loss_and_gradient_that_transformers_trains_with(family: str) -> None:
    model = mixture(family, layers=1, router_balance=0.02)
    ids, mask = some_ids(), some_mask()
    router = model.model.layers[0].mlp.gate.weight

    whole = model(ids, attention_mask=mask, output_router_logits=True, labels=ids)
    (expected,) = torch.autograd.grad(whole.aux_loss * 0.02, router)
    output = model.base_model(ids, attention_mask=mask, output_router_logits=True, use_cache=False)
    loss = balance_loss(model, output, mask.bool())
    assert float(loss.detach()) == pytest.approx(0.02 * float(whole.aux_loss.detach()), rel=1e-6)
    assert torch.allclose(torch.autograd.grad(loss, router)[0], expected, atol=1e-8)


@pytest.mark.parametrize("family", MOE)
def test_what_does_not_count_has_no_part_in_it(family: str) -> None:
    model = mixture(family)
    ids, mask = some_ids(), some_mask()
    logits = router_logits_of(model.base_model(ids, output_router_logits=True, use_cache=False))
    kept = tuple(layer[mask.flatten().bool()] for layer in logits)
    assert torch.allclose(load_balance(logits, 2, mask), load_balance(kept, 2))
    assert float(load_balance(logits, 2, torch.zeros(3, 20)).detach()) == 0.0


def test_it_is_least_where_experts_are_used_alike_and_greatest_where_the_same_ones_are() -> None:
    alike = torch.eye(4).repeat(5, 1) * 20 + torch.eye(4).roll(1, 0).repeat(5, 1) * 20
    same = torch.tensor([20.0, 20.0, 0.0, 0.0]).repeat(20, 1)
    assert float(load_balance([alike], 2)) == pytest.approx(2.0, abs=1e-4)
    assert float(load_balance([same], 2)) == pytest.approx(4.0, abs=1e-4)


def test_layers_that_are_lopsided_in_opposite_ways_do_not_make_up_for_one_another() -> None:
    first = torch.tensor([20.0, 20.0, 0.0, 0.0]).repeat(20, 1)
    assert float(load_balance([first, first.flip(-1)], 2)) == pytest.approx(4.0, abs=1e-4)


@pytest.mark.parametrize("family", MOE)
def test_it_reaches_the_router_through_fast_parts_and_recomputed_layers(family: str) -> None:
    plain, fast = mixture(family), mixture(family)
    use_fast_parts(fast)
    fast.activation_checkpointing_enable({"use_reentrant": False})
    gradients = []
    for model in (plain, fast):
        model.train()
        output = model.base_model(some_ids(), output_router_logits=True, use_cache=False)
        balance_loss(model, output).backward()
        gradients.append(model.model.layers[0].mlp.gate.weight.grad)
        assert len(router_logits_of(output)) == 2
    assert torch.allclose(*gradients, rtol=1e-3, atol=1e-7)
    assert float(gradients[0].abs().max()) > 0


def test_who_trains_with_it() -> None:
    assert all(routes(mixture(family)) for family in MOE)
    assert not routes(mixture("mixtral", router_balance=0.0))
    dense = Architecture(layers=1, width=32, head_dim=16)
    assert not routes(build_model(transformers_config(dense, vocabulary_size=50, positions=64), seed=0))
    by_offsets = {
        "num_hidden_layers": 2,
        "hidden_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 32,
        "moe_intermediate_size": 16,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
        "first_k_dense_replace": 1,
    }
    shape = Architecture(model_type="glm4_moe", overrides=by_offsets)
    assert not routes(build_model(transformers_config(shape, vocabulary_size=50, positions=64), seed=0))


def test_a_model_that_was_not_asked_for_its_router_is_an_error() -> None:
    model = mixture("mixtral")
    with pytest.raises(ValueError, match="output_router_logits=True"):
        balance_loss(model, model.base_model(some_ids(), use_cache=False))


SMALL = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}


def test_a_model_without_routers_of_a_family_that_has_them_is_not_balanced() -> None:
    config = transformers.AutoConfig.for_model("doge", **SMALL)  # dense, unless a config says otherwise
    assert not routes(transformers.AutoModelForCausalLM.from_config(config))


def test_a_family_that_names_the_weight_of_the_loss_otherwise_is_balanced_with_it() -> None:
    keys = {**SMALL, "num_key_value_heads": 2, "kv_channels": 16, "num_local_experts": 4, "num_experts_per_tok": 2}
    config = transformers.AutoConfig.for_model("jetmoe", **keys, aux_loss_coef=0.25)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    assert routes(model)
    output = model.base_model(some_ids(), output_router_logits=True, use_cache=False)
    whole = load_balance(router_logits_of(output), 2)
    assert balance_loss(model, output).item() == pytest.approx(0.25 * whole.item(), rel=1e-6)
