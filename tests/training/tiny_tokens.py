"""A `tokens` asset as small as it can be and as real as any, and settings for a training that takes a second."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import torch

from loresmith.data.pack import TOKEN_COLUMNS
from loresmith.data.shards import ShardWriter, dtype_for, write_index
from loresmith.factory.step import InputAsset
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.storage import save_model
from tests.models.tiny_tokenizer import make_tokenizer

VOCABULARY = 300
TINY = {
    "architecture": {"layers": 2, "width": 32, "head_dim": 16},
    "sequence_length": 16,
    "batch_tokens": 64,
    "micro_batch_tokens": 32,
    "budget_tokens": 640,
    "warmup_tokens": 128,
    "held_out_interval": 256,
    "held_out_tokens": 200,
    "precision": "bfloat16",
}
"""Settings of a training that takes a second."""


def document(number: int) -> str:
    draw = random.Random(number)
    return "".join(f"def {draw.choice('fgh')}(x):\n    return x + {draw.randrange(3)}\n" for _ in range(6))


def write_tokens(directory: Path, train: int = 30, validation: int = 4, tokenizer: Any = None) -> InputAsset:
    """Write an asset with so many documents in each split."""
    tokenizer = tokenizer or make_tokenizer()
    tokenizer.save_pretrained(directory / "tokenizer")
    dtype = dtype_for(len(tokenizer))
    splits = {}
    for first, (name, count) in enumerate({"train": train, "validation": validation, "test": 0}.items()):
        writer, rows = ShardWriter(directory, name, dtype, shard_bytes=1000), []
        for number in range(count):
            text = document(1000 * first + number)
            ids = np.array([*tokenizer(text)["input_ids"], tokenizer.eos_token_id], dtype=dtype)
            rows.append(
                {
                    "id": f"{name}-{number}",
                    "path": f"{name}/{number}.py",
                    "group": str(number),
                    "offset": writer.append(ids),
                    "tokens": len(ids),
                    "bytes": len(text.encode()),
                    "retain_until": "",
                }
            )
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows, TOKEN_COLUMNS), directory / f"{name}.documents.parquet")
        splits[name] = writer.index(count, sum(row["bytes"] for row in rows))
    write_index(directory, dtype, len(tokenizer), tokenizer.eos_token_id, splits)
    return InputAsset(digest="0" * 64, kind="tokens", directory=directory, metadata={}, labels=())


def write_base(directory: Path, tokens: InputAsset) -> InputAsset:
    """Write a model of which nothing is known, with the tokenizer of some tokens."""
    config = transformers_config(
        Architecture(layers=1, width=32, head_dim=16), vocabulary_size=VOCABULARY, positions=64
    )
    model = build_model(config, seed=1)
    # A head of zeros that is frozen would let an adapter learn nothing.
    model.get_output_embeddings().weight.data.normal_(generator=torch.Generator().manual_seed(1))
    save_model(model, directory, tokens.directory / "tokenizer")
    return InputAsset(digest="1" * 64, kind="model", directory=directory, metadata={}, labels=())
