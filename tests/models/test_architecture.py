from __future__ import annotations

import pytest
from pydantic import ValidationError

from loresmith.errors import UserError
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model, count_parameters
from loresmith.validation import validate


def config_of(**keys: object) -> object:
    return transformers_config(Architecture(**keys), vocabulary_size=300, positions=64, end_of_document=0)


def test_layers_and_width_decide_the_rest() -> None:
    architecture = Architecture(layers=4, width=192)
    assert (architecture.query_heads, architecture.key_value_heads, architecture.inner_width) == (3, 3, 512)


@pytest.mark.parametrize("family", ["qwen3", "llama", "mistral"])
def test_every_family_is_built_as_it_was_described(family: str) -> None:
    config = config_of(
        family=family, layers=3, width=64, head_dim=16, kv_heads=2, tied_embeddings=True, rope_theta=500.0
    )
    model = build_model(config, seed=0)
    layer = model.model.layers[0]
    assert len(model.model.layers) == 3
    assert layer.self_attn.q_proj.weight.shape == (64, 64)
    assert layer.self_attn.k_proj.weight.shape == (32, 64)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.config.rope_parameters["rope_theta"] == 500.0
    assert model.config.max_position_embeddings == 64


def test_parameters_are_counted_without_being_made() -> None:
    config = config_of(layers=2, width=64, head_dim=16)
    assert count_parameters(config) == sum(p.numel() for p in build_model(config, seed=0).parameters())


def test_any_causal_model_of_transformers_by_its_own_names() -> None:
    architecture = Architecture(
        model_type="olmo3",
        overrides={"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48},
    )
    model = build_model(transformers_config(architecture, vocabulary_size=99, positions=16), seed=0)
    assert model.config.model_type == "olmo3"
    assert model.get_input_embeddings().weight.shape == (99, 32)


def test_an_unknown_geometry_key_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'width'"):
        validate(Architecture, {"widht": 64}, {}, "recipe.yaml", ("architecture",))
    with pytest.raises(
        UserError, match=r"unknown key 'hidden_sizes' in architecture\.overrides; did you mean 'hidden_size'"
    ):
        config_of(model_type="llama", overrides={"hidden_sizes": 64})


def test_an_unknown_model_type_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown model_type 'qwen33'; did you mean 'qwen3'"):
        config_of(model_type="qwen33")


def test_a_model_that_is_no_causal_language_model_is_refused() -> None:
    with pytest.raises(UserError, match="unknown model_type 'vit'"):
        config_of(model_type="vit")


def test_what_the_config_class_refuses_is_said_in_plain_words() -> None:
    with pytest.raises(UserError, match="hidden_size"):
        config_of(model_type="qwen3", overrides={"hidden_size": "wide"})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"width": 100}, "not a multiple of head_dim"),
        ({"width": 256, "kv_heads": 3}, "cannot share"),
        ({"model_type": "llama", "layers": 3}, "say layers in overrides"),
        ({"head_dim": 15}, "multiple of 2"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Architecture(**keys)
