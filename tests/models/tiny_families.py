"""Tiny causal language models of many families, whose weights are large enough for every path to show in the output."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from loresmith.models.offline import transformers

VOCABULARY = 120
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "max_position_embeddings": 512,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
TWO_KINDS = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 5}
LATENT = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "head_dim": 4,
    "v_head_dim": 6,
}

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 5},
    "ministral3": {
        "sliding_window": 5,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e4,
            "llama_4_scaling_beta": 0.1,
            "original_max_position_embeddings": 8,
        },
    },
    "qwen3": {},
    "smollm3": {"no_rope_layers": [1, 0]},
    "olmo3": TWO_KINDS,
    "gemma2": TWO_KINDS,
    "gemma3_text": TWO_KINDS,
    "granite": {},
    "gpt_oss": {**TWO_KINDS, **EXPERTS, "num_local_experts": 4},
    "llama4_text": {
        **EXPERTS,
        "layer_types": ["chunked_attention", "full_attention"],
        "attention_chunk_size": 5,
        "num_local_experts": 4,
        "num_experts_per_tok": 1,
    },
    "mixtral": {**EXPERTS, "num_local_experts": 4, "sliding_window": 5},
    "qwen3_moe": {**EXPERTS, "num_experts": 4},
    "olmoe": {**EXPERTS, "num_experts": 4},
    "deepseek_v3": {**EXPERTS, **LATENT, "num_key_value_heads": 4, "n_routed_experts": 4, "n_group": 1},
    "deepseek_v32": {
        **{**EXPERTS, **LATENT, "num_key_value_heads": 4, "n_routed_experts": 4, "n_group": 1},
        **{"index_n_heads": 2, "index_head_dim": 8, "index_topk": 4},
    },
    "glm4_moe": {**EXPERTS, "n_routed_experts": 4, "n_group": 1, "topk_group": 1},
    "falcon": {"num_kv_heads": 2},
    "mamba": {"state_size": 4},
    "mamba2": {"state_size": 4, "num_heads": 8, "n_groups": 1},
    "rwkv": {},
    "xlstm": {"num_heads": 2},
    "jamba": {**EXPERTS, "num_experts": 2, "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 4},
    "qwen3_next": {
        **EXPERTS,
        "num_experts": 4,
        "layer_types": ["linear_attention", "full_attention"],
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
    "recurrent_gemma": {"num_hidden_layers": 3, "attention_window_size": 5},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "bloom": {},
}
EXACT = [
    *("llama", "mistral", "ministral3", "qwen3", "smollm3", "olmo3", "gemma2", "gemma3_text", "granite"),
    *("gpt_oss", "llama4_text", "mixtral", "qwen3_moe", "olmoe", "deepseek_v3", "glm4_moe", "falcon"),
]
"""Those that keep the documents of a row apart."""


def tiny_config(model_type: str) -> Any:
    template = transformers.AutoConfig.for_model(model_type)
    settable = [key for key in SHAPE if hasattr(template, key) or key in template.attribute_map]
    keys = {key: SHAPE[key] for key in settable if key != "head_dim" or "head_dim" in template.to_dict()}
    return transformers.AutoConfig.for_model(model_type, **{**keys, **FAMILIES[model_type]})


def tiny_model(model_type: str) -> Any:
    """A model in fp32, in training mode, with matrices of std 0.15."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(tiny_config(model_type), dtype=torch.float32)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.15)
    return model.train()
