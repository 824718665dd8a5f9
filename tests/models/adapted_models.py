"""Small models with adapters that do something."""

from __future__ import annotations

from typing import Any

import torch

from loresmith.models.adapter_settings import AdapterSettings
from loresmith.models.adapters import adapter_parameters, add_adapter
from loresmith.models.build import build_model
from loresmith.models.offline import transformers

BASE = "ab" * 32
"""The digest of a base's asset."""

IDS = torch.randint(0, 300, (2, 24), generator=torch.Generator().manual_seed(5))

WIDTHS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
SHAPES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2},
    "llama": {**WIDTHS, "intermediate_size": 48},
    "mixtral": {**WIDTHS, "intermediate_size": 48, "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3": {**WIDTHS, "intermediate_size": 48, "head_dim": 16},
    "qwen3_moe": {
        **WIDTHS,
        "intermediate_size": 48,
        "moe_intermediate_size": 24,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "head_dim": 16,
    },
}


def small(family: str = "qwen3", seed: int = 0, **keys: Any) -> Any:
    """A model of width 32, 2 layers and a vocabulary of 300, whose head is not zero."""
    config = transformers.AutoConfig.for_model(
        family, vocab_size=300, max_position_embeddings=64, bos_token_id=None, eos_token_id=0, **SHAPES[family] | keys
    )
    model = build_model(config, seed)
    if not config.tie_word_embeddings:
        model.get_output_embeddings().weight.data.normal_(0, 0.2, generator=torch.Generator().manual_seed(seed))
    return model.eval()


@torch.no_grad()
def learnt(model: Any, size: float = 0.1) -> Any:
    """As if the adapter had been trained: none of its numbers is what it was at first."""
    generator = torch.Generator().manual_seed(11)
    for name, parameter in adapter_parameters(model):
        noise = torch.empty(parameter.shape).normal_(0, size, generator=generator)
        parameter.mul_(1 + noise) if "magnitude" in name else parameter.add_(noise)
    return model


def adapted(family: str = "qwen3", variant: str = "lora", seed: int = 0, **keys: Any) -> Any:
    model = small(family, seed)
    add_adapter(model, AdapterSettings(variant=variant, **{"rank": 4, "alpha": 8, **keys}), seed=3)
    return learnt(model).eval()


def logits(model: Any, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(ids).logits
    return found
