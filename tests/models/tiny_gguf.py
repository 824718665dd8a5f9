"""A GGUF file of a tiny Llama, written with llama.cpp's own package from a model of which every weight is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from tests.models.tiny_tokenizer import make_tokenizer

HEADS, LAYERS, WIDTH = 2, 2, 32

NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def tiny_llama(seed: int = 0) -> Any:
    shape = Architecture(family="llama", layers=LAYERS, width=WIDTH, head_dim=WIDTH // HEADS, ffn_width=64)
    model = build_model(transformers_config(shape, vocabulary_size=300, positions=64, end_of_document=0), seed)
    model.get_output_embeddings().weight.data.normal_(generator=torch.Generator().manual_seed(seed))
    return model.eval()


def write_gguf(path: Path, model: Any, pre: str | None = "gpt-2", **more: Any) -> Path:
    """Write a model with the tokenizer of `make_tokenizer`.

    Args:
        pre: what the file calls the rule by which text is cut.
        more: metadata, or tensors, that are written as well.
    """
    from gguf import GGUFWriter, TokenType

    writer = GGUFWriter(path, "llama")
    writer.add_name("a tiny llama")
    writer.add_license("mit")
    for add, value in (
        (writer.add_block_count, LAYERS),
        (writer.add_context_length, 64),
        (writer.add_embedding_length, WIDTH),
        (writer.add_feed_forward_length, 64),
        (writer.add_head_count, HEADS),
        (writer.add_head_count_kv, HEADS),
        (writer.add_vocab_size, 300),
        (writer.add_rope_dimension_count, WIDTH // HEADS),
    ):
        add(value)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    described = json.loads(make_tokenizer().backend_tokenizer.to_str())
    special = {token["content"] for token in described["added_tokens"]}
    tokens = sorted(described["model"]["vocab"], key=described["model"]["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if token in special else TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in described["model"]["merges"]])
    writer.add_eos_token_id(0)
    writer.add_chat_template(make_tokenizer().chat_template)
    for key, value in more.items():
        if isinstance(value, np.ndarray):
            writer.add_tensor(key.replace("__", "."), value)
        else:
            writer.add_string(key.replace("__", "."), value)
    for name, weight in _tensors(model):
        writer.add_tensor(name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(model: Any) -> Any:
    weights = {name: tensor.detach().float().numpy() for name, tensor in model.state_dict().items()}
    yield "token_embd.weight", weights["model.embed_tokens.weight"]
    yield "output_norm.weight", weights["model.norm.weight"]
    yield "output.weight", weights["lm_head.weight"]
    for layer in range(LAYERS):
        for theirs, ours in NAMES.items():
            weight = weights[f"model.layers.{layer}.{theirs}.weight"]
            yield f"blk.{layer}.{ours}.weight", _paired(weight) if ours in ("attn_q", "attn_k") else weight


def _paired(weight: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rows as llama.cpp rotates them, in neighbouring pairs, where transformers pairs the halves of a head."""
    rows, columns = weight.shape
    halves = weight.reshape(HEADS, 2, rows // HEADS // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))
