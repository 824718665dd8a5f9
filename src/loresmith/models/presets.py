"""Named sizes. `architecture: {preset: qwen3-12m}` stands for the geometry here; keys beside it override it.

The small ones say layers and width, and the rest follows from them as everywhere. The large ones are the geometries of
published models, with plain rotary embeddings where those stretch theirs to longer windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """A size.

    Attributes:
        geometry: keys of an `Architecture`.
        vocabulary: with how many tokens its name counts parameters.
        summary: what it is for, or whose it is.
    """

    geometry: Mapping[str, Any]
    vocabulary: int
    summary: str


def _small(family: str, layers: int, width: int, vocabulary: int, summary: str, **more: Any) -> Preset:
    geometry = {"family": family, "layers": layers, "width": width, "tied_embeddings": True, **more}
    return Preset(geometry, vocabulary, summary)


def _published(
    model: str, family: str, vocabulary: int, size: tuple[int, int], heads: tuple[int, int, int], **more: Any
) -> Preset:
    """`size` is layers and width, `heads` those of queries, those of keys and values, and the size of one."""
    geometry = dict(zip(("layers", "width", "heads", "kv_heads", "head_dim"), (*size, *heads), strict=True))
    return Preset({"family": family, **geometry, **more}, vocabulary, f"The shape of {model}.")


_QWEN3 = {"tied_embeddings": True, "rope_theta": 1e6}
_SMOLLM2 = {"tied_embeddings": True, "rope_theta": 1e5}
_EIGHT = {"experts": 8, "experts_per_token": 2}
_BENCHMARK: Mapping[str, Any] = {"family": "qwen3", "layers": 8, "width": 320, "ffn_width": 576}


def _as_active(family: str) -> Preset:
    """The benchmark's shape with a mixture in place of each feed-forward, of which a token meets as much."""
    mixture = {**_EIGHT, "expert_width": _BENCHMARK["ffn_width"] // 2}
    kept = {key: value for key, value in _BENCHMARK.items() if key != "ffn_width"}
    return Preset({**kept, "family": family, **mixture}, 8192, "As active as qwen3-12m.")


PRESETS: Mapping[str, Preset] = {
    "qwen3-1m": _small("qwen3", 4, 128, 2048, "To see that a recipe works: seconds.", head_dim=32),
    "qwen3-6m": _small("qwen3", 6, 256, 4096, "A first model on two cores: minutes."),
    "qwen3-12m": Preset(_BENCHMARK, 8192, "The benchmark's; an hour on two cores."),
    "qwen3-46m": _small("qwen3", 12, 512, 16_384, "A night on many cores, minutes on a GPU."),
    "qwen3-110m": _small("qwen3", 12, 768, 32_768, "The size of GPT-2 small."),
    "qwen3-340m": _small("qwen3", 24, 1024, 32_768, "The size of GPT-2 medium."),
    "qwen3-0.6b": _published("Qwen3-0.6B", "qwen3", 151_936, (28, 1024), (16, 8, 128), ffn_width=3072, **_QWEN3),
    "qwen3-1.7b": _published("Qwen3-1.7B", "qwen3", 151_936, (28, 2048), (16, 8, 128), ffn_width=6144, **_QWEN3),
    "qwen3-4b": _published("Qwen3-4B", "qwen3", 151_936, (36, 2560), (32, 8, 128), ffn_width=9728, **_QWEN3),
    "qwen3-8b": _published("Qwen3-8B", "qwen3", 151_936, (36, 4096), (32, 8, 128), ffn_width=12_288, rope_theta=1e6),
    "smollm2-135m": _published("SmolLM2-135M", "llama", 49_152, (30, 576), (9, 3, 64), ffn_width=1536, **_SMOLLM2),
    "smollm2-360m": _published("SmolLM2-360M", "llama", 49_152, (32, 960), (15, 5, 64), ffn_width=2560, **_SMOLLM2),
    "llama3-1b": _published(
        "Llama-3.2-1B", "llama", 128_256, (16, 2048), (32, 8, 64), ffn_width=8192, tied_embeddings=True, rope_theta=5e5
    ),
    "llama3-8b": _published("Llama-3-8B", "llama", 128_256, (32, 4096), (32, 8, 128), ffn_width=14_336, rope_theta=5e5),
    "mistral-7b": _published(
        "Mistral-7B-v0.3", "mistral", 32_768, (32, 4096), (32, 8, 128), ffn_width=14_336, rope_theta=1e6
    ),
    "ministral3-3b": _published(
        "Ministral-3-3B", "ministral3", 131_072, (26, 3072), (32, 8, 128), ffn_width=9216, **_QWEN3
    ),
    "ministral3-8b": _published(
        "Ministral-3-8B", "ministral3", 131_072, (34, 4096), (32, 8, 128), ffn_width=14_336, rope_theta=1e6
    ),
    "qwen3-moe-26m": _as_active("qwen3_moe"),
    "qwen3-moe-280m": _small("qwen3_moe", 12, 768, 32_768, "As active as qwen3-110m.", **_EIGHT),
    "qwen3-moe-30b": _published(
        "Qwen3-30B-A3B",
        "qwen3_moe",
        151_936,
        (48, 2048),
        (32, 4, 128),
        experts=128,
        experts_per_token=8,
        expert_width=768,
        router_balance=0.001,
        rope_theta=1e6,
    ),
    "mixtral-26m": _as_active("mixtral"),
    "mixtral-47b": _published(
        "Mixtral-8x7B",
        "mixtral",
        32_000,
        (32, 4096),
        (32, 8, 128),
        expert_width=14_336,
        router_balance=0.02,
        rope_theta=1e6,
        **_EIGHT,
    ),
    "olmoe-26m": _as_active("olmoe"),
    "olmoe-7b": _published(
        "OLMoE-1B-7B",
        "olmoe",
        50_304,
        (16, 2048),
        (16, 16, 128),
        experts=64,
        experts_per_token=8,
        expert_width=1024,
        router_balance=0.01,
    ),
}
"""By name: dense families first, each from small to large."""
