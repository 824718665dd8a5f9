"""Tiny models on disk, as engines load them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.models.tiny_families import tiny_config
from tests.models.tiny_tokenizer import make_tokenizer

VOCABULARY = 300


def write_tiny(
    directory: Path, model_type: str = "qwen3", dtype: torch.dtype = torch.float32, window: int | None = None
) -> Path:
    """A model with matrices of std 0.15 and a byte-level tokenizer of 300 tokens, which ends with token 0."""
    from loresmith.models.offline import transformers
    from loresmith.models.storage import save_model

    config = tiny_config(model_type)
    config.vocab_size, config.eos_token_id = VOCABULARY, 0
    if window is not None:
        config.max_position_embeddings = window
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model: Any = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.15)
    tokenizer = directory / "tokenizer"
    make_tokenizer().save_pretrained(tokenizer)
    save_model(model.to(dtype).eval(), directory / "model", tokenizer)
    return directory / "model"
