from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.cost import cost_of, on_meta
from loresmith.models.families import DENSE, MOE

LENGTH = 24
ROWS = 2


def config_of(family: str, **keys: Any) -> Any:
    shape = {"layers": 3, "width": 64, "head_dim": 16}
    return transformers_config(Architecture(family=family, **{**shape, **keys}), vocabulary_size=300, positions=64)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("family", DENSE)
def test_operations_are_those_that_torch_counts(family: str, tied: bool) -> None:
    model = build_model(config_of(family, kv_heads=2, tied_embeddings=tied), seed=0)
    model.set_attn_implementation("eager")
    ids = torch.zeros(ROWS, LENGTH, dtype=torch.int64)
    with FlopCounterMode(display=False) as forward:
        loss = model(ids, use_cache=False).logits.sum()
    with FlopCounterMode(display=False) as backward:
        loss.backward()

    cost = cost_of(model, LENGTH)
    # Eager attention compares all T x T positions, of which (T + 1) / 2 per position are needed; and where rotary
    # angles are computed as a matrix product of positions and frequencies, torch counts that too.
    needless = cost.attention_flops_per_token * (2 * LENGTH / (LENGTH + 1) - 1)
    expected = ROWS * LENGTH * (cost.forward_flops_per_token + needless)
    assert forward.get_total_flops() == pytest.approx(expected, rel=0.002)
    assert backward.get_total_flops() == pytest.approx(2 * expected, rel=0.002)
    assert cost.training_flops_per_token == 3 * cost.forward_flops_per_token


@pytest.mark.parametrize("family", MOE)
def test_a_mixture_costs_what_its_active_experts_cost(family: str) -> None:
    few, many = (
        cost_of(on_meta(config_of(family, experts=experts, experts_per_token=2, expert_width=32)), LENGTH)
        for experts in (2, 16)
    )
    routers = 3 * 14 * 64
    assert many.active_parameters == few.active_parameters + routers
    assert many.forward_flops_per_token == few.forward_flops_per_token + 2 * routers
    assert many.parameters > 2 * few.parameters


@pytest.mark.parametrize("family", MOE)
def test_a_mixture_of_all_experts_is_as_dear_as_a_dense_model(family: str) -> None:
    model = build_model(config_of(family, experts=2, experts_per_token=2, expert_width=32), seed=0)
    model.set_attn_implementation("eager")
    model.set_experts_implementation("eager")
    with FlopCounterMode(display=False) as counted:
        model(torch.zeros(ROWS, LENGTH, dtype=torch.int64), use_cache=False)
    cost = cost_of(model, LENGTH)
    needless = cost.attention_flops_per_token * (2 * LENGTH / (LENGTH + 1) - 1)
    expected = ROWS * LENGTH * (cost.forward_flops_per_token + needless)
    assert counted.get_total_flops() == pytest.approx(expected, rel=0.002)


def test_attention_grows_with_the_length_and_a_window_stops_that() -> None:
    model = on_meta(config_of("qwen3"))
    assert cost_of(model, 99).attention_flops_per_token == 3 * 2 * 64 * 2 * 50
    windowed = on_meta(config_of("mistral", overrides={"sliding_window": 10}))
    positions = [min(position, 10) for position in range(1, 100)]
    assert cost_of(windowed, 99).attention_flops_per_token == round(3 * 2 * 64 * 2 * sum(positions) / 99)
    assert cost_of(windowed, 10) == cost_of(on_meta(config_of("mistral")), 10)


def test_layers_of_several_kinds_count_each_for_itself() -> None:
    shape = {
        "num_hidden_layers": 2,
        "hidden_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "intermediate_size": 48,
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": 4,
    }
    architecture = Architecture(model_type="gemma3_text", overrides=shape)
    config = transformers_config(architecture, vocabulary_size=50, positions=64)
    windowed = sum(min(position, 4) for position in range(1, 12)) / 11
    assert cost_of(on_meta(config), 11).attention_flops_per_token == round(2 * 32 * 2 * (6 + windowed))


def test_parameters_are_counted_without_being_made() -> None:
    config = config_of("qwen3_moe", tied_embeddings=True)
    model = on_meta(config)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert cost_of(model, LENGTH) == cost_of(build_model(config, seed=0), LENGTH)
    assert cost_of(model, LENGTH).embedding_parameters == 300 * 64


def test_chinchilla_s_own_size_gets_about_chinchilla_s_tokens() -> None:
    # 70B parameters were trained on 1.4T tokens.
    shape = Architecture(layers=80, width=8192, heads=64, head_dim=128, ffn_width=24_576, kv_heads=64)
    cost = cost_of(on_meta(transformers_config(shape, vocabulary_size=32_000, positions=64)), 2048)
    assert cost.chinchilla_tokens == pytest.approx(1.4e12, rel=0.1)
