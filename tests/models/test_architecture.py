from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from loresmith.errors import UserError
from loresmith.factory.recipe import parse_recipe
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.families import DENSE, MOE
from loresmith.models.mixture import Mixture
from loresmith.validation import validate
from loresmith.yaml_lines import load_yaml


def config_of(**keys: Any) -> Any:
    return transformers_config(Architecture(**keys), vocabulary_size=300, positions=64, end_of_document=0)


def refused(written: str) -> UserError:
    mapped = load_yaml(written, "recipe.yaml")
    with pytest.raises(UserError) as caught:
        validate(Architecture, mapped.data, mapped.lines, mapped.source)
    return caught.value


def test_layers_and_width_decide_the_rest() -> None:
    dense, mixed = Architecture(layers=4, width=192), Architecture(family="mixtral", layers=4, width=192)
    assert (dense.query_heads, dense.key_value_heads, dense.inner_width) == (3, 3, 512)
    assert (mixed.expert_count, mixed.active_experts, mixed.width_of_expert) == (8, 2, 256)


@pytest.mark.parametrize("family", [*DENSE, *MOE])
def test_every_family_is_built_as_it_was_described(family: str) -> None:
    heads = {} if family == "olmoe" else {"kv_heads": 2}
    config = config_of(family=family, layers=3, width=64, head_dim=16, tied_embeddings=True, rope_theta=500.0, **heads)
    model = build_model(config, seed=0)
    layer = model.model.layers[0]
    assert len(model.model.layers) == 3
    assert layer.self_attn.q_proj.weight.shape == (64, 64)
    assert layer.self_attn.k_proj.weight.shape == (64 if family == "olmoe" else 32, 64)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.config.model_type == family
    assert model.config.rope_parameters["rope_theta"] == 500.0
    assert model.config.max_position_embeddings == 64
    assert getattr(model.config, "sliding_window", None) is None


@pytest.mark.parametrize("family", MOE)
def test_every_mixture_has_the_experts_that_were_asked_for(family: str) -> None:
    shape = {"layers": 2, "width": 64, "head_dim": 16, "experts": 6, "experts_per_token": 3, "expert_width": 24}
    config = config_of(family=family, router_balance=0.02, **shape)
    model = build_model(config, seed=0)
    mixture = Mixture.of(model)
    assert mixture is not None
    assert (mixture.count, mixture.active, len(mixture.routers)) == (6, 3, 2)
    shapes = {name: tuple(part.parameter.shape) for name, part in mixture.experts.items()}
    assert shapes["model.layers.1.mlp.experts.gate_up_proj"] == (6, 48, 64)
    assert shapes["model.layers.1.mlp.experts.down_proj"] == (6, 64, 24)
    assert config.router_aux_loss_coef == 0.02
    # What the published models do: those of Qwen3 share a token's weight out among its experts, OLMoE does not.
    assert getattr(config, "norm_topk_prob", None) == {"qwen3_moe": True, "mixtral": None, "olmoe": False}[family]


def test_any_causal_model_of_transformers_by_its_own_names() -> None:
    architecture = Architecture(
        model_type="olmo3",
        overrides={"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48},
    )
    model = build_model(transformers_config(architecture, vocabulary_size=99, positions=16), seed=0)
    assert model.config.model_type == "olmo3"
    assert model.get_input_embeddings().weight.shape == (99, 32)


def test_overrides_are_set_last() -> None:
    config = config_of(overrides={"hidden_act": "gelu", "num_hidden_layers": 2, "max_position_embeddings": 99})
    assert (config.hidden_act, config.num_hidden_layers, config.max_position_embeddings) == ("gelu", 2, 99)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"preset": "qwen3-12m", "layers": 3},
        {"family": "olmoe", "experts": 4},
        {"model_type": "olmo3", "overrides": {"hidden_size": 32}},
    ],
)
def test_what_a_plan_writes_out_whole_is_the_same_architecture(keys: dict[str, Any]) -> None:
    architecture = Architecture(**keys)
    assert Architecture.model_validate(architecture.model_dump(mode="json")) == architecture


@pytest.mark.parametrize(
    ("written", "place", "message"),
    [
        ("layers: 4\nwidht: 64", "2", "unknown key 'widht'; did you mean 'width'"),
        ("family: mixtral\nexpert_per_token: 2", "2", "did you mean 'experts_per_token'"),
        ("family: qwen3_mo", "1", "family: .*'qwen3_moe'"),
        ("layers: 4\n\npreset: qwen3-12", "3", "unknown preset 'qwen3-12'; did you mean 'qwen3-12m'"),
        ("model_type: qwen33", "1", "unknown model_type 'qwen33'; did you mean 'qwen3'"),
        ("model_type: vit", "1", "unknown model_type 'vit'"),
        (
            "model_type: llama\noverrides:\n  num_hidden_layers: 2\n  hidden_sizes: 64",
            "4",
            "overrides.hidden_sizes: unknown key 'hidden_sizes' in the config of llama; did you mean 'hidden_size'",
        ),
        ("overrides:\n  rope_thetta: 1e6", "2", "unknown key 'rope_thetta' in the config of qwen3"),
        ("layers: 2\noverrides: {hidden_size: wide}", "2", "hidden_size"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_was_meant(written: str, place: str, message: str) -> None:
    error = refused(written)
    assert error.where == f"recipe.yaml:{place}"
    with pytest.raises(UserError, match=message):
        raise error


def test_a_recipe_s_plan_finds_the_mistake_before_anything_runs() -> None:
    recipe = load_yaml(
        "name: try\n"
        "steps:\n"
        "  base:\n"
        "    step: pretrain\n"
        "    tokens: some/tokens\n"
        "    architecture:\n"
        "      model_type: llama\n"
        "      overrides:\n"
        "        hiden_size: 64\n",
        "recipe.yaml",
    )
    from pathlib import Path

    with pytest.raises(UserError, match="did you mean 'hidden_size'") as caught:
        parse_recipe(recipe, Path())
    assert caught.value.where == "recipe.yaml:9"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"width": 100}, "not a multiple of head_dim"),
        ({"width": 256, "kv_heads": 3}, "cannot share"),
        ({"model_type": "llama", "layers": 3}, "say layers in overrides"),
        ({"model_type": "mixtral", "experts": 3}, "say experts in overrides"),
        ({"model_type": "llama", "preset": "qwen3-12m"}, "leave out the preset"),
        ({"head_dim": 15}, "multiple of 2"),
        ({"experts": 8}, "qwen3 is dense and has no experts"),
        ({"preset": "qwen3-12m", "router_balance": 0.1}, "qwen3 is dense and has no router_balance"),
        ({"family": "mixtral", "ffn_width": 64}, "say expert_width"),
        ({"family": "qwen3_moe", "experts": 4, "experts_per_token": 5}, "more than the 4 experts"),
        ({"family": "olmoe", "expert_width": 20}, "multiple of 8"),
        ({"family": "olmoe", "width": 256, "heads": 2}, "heads fill the width"),
        ({"family": "mixtral", "width": 36, "head_dim": 4}, "not a multiple of 8"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Architecture(**keys)
