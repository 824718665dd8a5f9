from __future__ import annotations

import re

import pytest

from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.cost import cost_of, on_meta
from loresmith.models.families import count
from loresmith.models.presets import PRESETS

PUBLISHED = {
    "qwen3-0.6b": 596_049_920,
    "qwen3-1.7b": 1_720_574_976,
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "llama3-1b": 1_235_814_400,
    "llama3-8b": 8_030_261_248,
    "mistral-7b": 7_248_023_552,
    "qwen3-moe-30b": 30_532_122_624,
    "mixtral-47b": 46_702_792_704,
    "olmoe-7b": 6_919_161_856,
}
"""What the publishers' weights add up to."""

UNITS = {"m": 1e6, "b": 1e9}


@pytest.mark.parametrize("name", PRESETS)
def test_the_arithmetic_of_parameters_is_what_transformers_builds(name: str) -> None:
    shape, vocabulary = Architecture(preset=name), PRESETS[name].vocabulary
    built = cost_of(on_meta(transformers_config(shape, vocabulary_size=vocabulary, positions=64)), 64)
    assert count(shape, vocabulary) == (built.parameters, built.active_parameters)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_model_s_shape_has_its_number_of_parameters(name: str) -> None:
    assert count(Architecture(preset=name), PRESETS[name].vocabulary).total == PUBLISHED[name]


@pytest.mark.parametrize("name", PRESETS)
def test_a_name_says_how_many_parameters(name: str) -> None:
    said, unit = re.fullmatch(r".*-([0-9.]+)([mb])", name).groups()
    total = count(Architecture(preset=name), PRESETS[name].vocabulary).total
    assert total / (float(said) * UNITS[unit]) == pytest.approx(1.0, abs=0.25 if said == "1" else 0.15)


@pytest.mark.parametrize("name", ["qwen3-moe-26m", "mixtral-26m", "olmoe-26m"])
def test_the_small_mixtures_are_as_active_as_the_benchmark_s_dense_model(name: str) -> None:
    dense = count(Architecture(preset="qwen3-12m"), 8192)
    assert count(Architecture(preset=name), 8192).active == pytest.approx(dense.total, rel=0.005)


def test_keys_beside_a_preset_override_it_and_the_rest_follows_from_them() -> None:
    wider = Architecture(preset="qwen3-46m", width=640)
    assert (wider.layers, wider.query_heads, wider.inner_width) == (12, 10, 1728)
    assert Architecture(preset="qwen3-12m", layers=2).layers == 2


def test_a_preset_is_the_keys_that_it_stands_for() -> None:
    assert Architecture(preset="qwen3-12m") == Architecture(layers=8, width=320, ffn_width=576)
