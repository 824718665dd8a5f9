from __future__ import annotations

import math

import pytest
import torch

from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model


def small(seed: int = 0, **keys: object) -> torch.nn.Module:
    architecture = Architecture(**{"layers": 4, "width": 64, "head_dim": 16, **keys})
    return build_model(transformers_config(architecture, vocabulary_size=500, positions=64), seed)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def test_the_seed_decides_every_weight_and_nothing_else_does() -> None:
    torch.manual_seed(1)
    first = weights(small(seed=7))
    torch.manual_seed(2)
    again, other = weights(small(seed=7)), weights(small(seed=8))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["model.layers.0.mlp.up_proj.weight"], other["model.layers.0.mlp.up_proj.weight"])


def test_building_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    small()
    assert torch.equal(torch.rand(4), expected)


def test_a_parameter_does_not_depend_on_those_before_it() -> None:
    shallow, deep = weights(small(layers=4)), weights(small(layers=5))
    name = "model.layers.2.self_attn.q_proj.weight"
    assert torch.equal(shallow[name], deep[name])


def test_matrices_that_lie_the_other_way_round_begin_as_the_others() -> None:
    shape = {"n_layer": 2, "n_embd": 64, "n_head": 4, "n_inner": 512}
    config = transformers_config(Architecture(model_type="gpt2", overrides=shape), vocabulary_size=500, positions=64)
    block = build_model(config, seed=0).transformer.h[0]
    assert float(block.attn.c_attn.weight.std()) == pytest.approx(1 / math.sqrt(64), rel=0.05)
    assert float(block.mlp.c_proj.weight.std()) == pytest.approx(0.5 / math.sqrt(512) / math.sqrt(2 * 2), rel=0.05)
    assert not block.mlp.c_proj.bias.any()


def test_the_first_loss_is_that_of_a_uniform_guess() -> None:
    model = small()
    ids = torch.randint(0, 500, (4, 32), generator=torch.Generator().manual_seed(0))
    logits = model(ids).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    assert math.isclose(float(loss.detach()), math.log(500), rel_tol=1e-6)


def test_the_residual_stream_does_not_grow_with_the_number_of_layers() -> None:
    ids = torch.randint(0, 500, (2, 32), generator=torch.Generator().manual_seed(0))
    shallow, deep = (
        float(small(layers=layers)(ids, output_hidden_states=True).hidden_states[-2].detach().std())
        for layers in (4, 32)
    )
    assert 0.5 < deep / shallow < 2.0


MIXED = ["qwen3_moe", "mixtral", "olmoe"]


@pytest.mark.parametrize("family", MIXED)
def test_each_expert_begins_as_a_matrix_of_a_dense_model_would(family: str) -> None:
    model = small(family=family, width=128, experts=4, expert_width=64)
    residual = 0.5 / math.sqrt(2 * 4)
    for layer in model.model.layers:
        for expert in range(4):
            up, down = (part.detach()[expert] for part in (layer.mlp.experts.gate_up_proj, layer.mlp.experts.down_proj))
            assert float(up.std()) == pytest.approx(1 / math.sqrt(128), rel=0.05)
            assert float(down.std()) == pytest.approx(residual / math.sqrt(64), rel=0.05)
        assert float(layer.mlp.gate.weight.detach().std()) == pytest.approx(math.sqrt(0.1 / 128), rel=0.15)


def test_the_other_layout_of_experts_has_the_same_fan_in() -> None:
    shape = {
        "num_hidden_layers": 4,
        "hidden_size": 128,
        "intermediate_size": 64,
        "num_local_experts": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
    }
    config = transformers_config(Architecture(model_type="gpt_oss", overrides=shape), vocabulary_size=99, positions=32)
    experts = build_model(config, seed=0).model.layers[1].mlp.experts
    assert tuple(experts.down_proj.shape) == (4, 64, 128)  # in x out
    assert float(experts.gate_up_proj.detach().std()) == pytest.approx(1 / math.sqrt(128), rel=0.05)
    assert float(experts.down_proj.detach().std()) == pytest.approx(0.5 / math.sqrt(2 * 4) / math.sqrt(64), rel=0.05)
    assert not experts.down_proj_bias.any()
    assert not experts.gate_up_proj_bias.any()


@pytest.mark.parametrize("family", MIXED)
def test_a_mixture_s_weights_depend_on_the_seed_and_their_names_alone(family: str) -> None:
    torch.manual_seed(1)
    first = weights(small(seed=7, family=family))
    torch.manual_seed(2)
    again, other, deeper = (weights(small(seed=s, family=family, layers=n)) for s, n in ((7, 4), (8, 4), (7, 5)))
    assert all(torch.equal(first[name], again[name]) for name in first)
    up, router = "model.layers.2.mlp.experts.gate_up_proj", "model.layers.2.mlp.gate.weight"
    for name in (up, router):
        assert torch.equal(first[name], deeper[name])
        assert not torch.equal(first[name], other[name])
    assert not torch.equal(first[up][0], first[up][1])


@pytest.mark.parametrize("family", MIXED)
def test_a_mixture_s_residual_stream_does_not_grow_with_depth(family: str) -> None:
    ids = torch.randint(0, 500, (2, 32), generator=torch.Generator().manual_seed(0))
    shallow, deep = (
        float(small(layers=layers, family=family)(ids, output_hidden_states=True).hidden_states[-2].detach().std())
        for layers in (4, 32)
    )
    assert 0.5 < deep / shallow < 2.0


@pytest.mark.parametrize("family", MIXED)
def test_no_expert_is_left_out_at_the_start(family: str) -> None:
    model = small(family=family, width=64)
    ids = torch.randint(0, 500, (8, 64), generator=torch.Generator().manual_seed(0))
    for logits in model.base_model(ids, output_router_logits=True).router_logits:
        chosen = logits.topk(2, dim=-1).indices.flatten().bincount(minlength=8)
        assert int(chosen.min()) > 0.25 * chosen.float().mean()
