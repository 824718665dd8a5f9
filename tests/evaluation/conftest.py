"""A corpus, a tokenizer and a model, each as small as it can be and as real as any."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from loresmith.factory.step import InputAsset

END_OF_DOCUMENT = "<|end_of_document|>"


def source(number: int) -> str:
    """A Python file like the next, with its own names."""
    draw = random.Random(number)
    names = [draw.choice(["item", "total", "path", "line", "count"]) + str(draw.randrange(9)) for _ in range(4)]
    functions = [
        f'def make_{name}(value, limit={draw.randrange(99)}):\n    """Make the {name} of a value."""\n'
        f"    {name} = value + limit\n    for step in range(limit):\n        {name} += step\n    return {name}\n"
        for name in names
    ]
    return "import os\n\n\n" + "\n\n".join(functions)


def write_corpus(
    directory: Path, texts: dict[str, tuple[str, str]], rights: Mapping[str, Mapping[str, Any]] | None = None
) -> Path:
    """A corpus of texts by path, each with its split; `rights` are the columns of those that are not the usual ones."""
    directory.mkdir(parents=True)
    rows = [
        {
            "id": hashlib.sha256(path.encode() + text.encode()).hexdigest(),
            "path": path,
            "text": text,
            "bytes": len(text.encode()),
            "language": "python" if path.endswith(".py") else "en",
            "split": split,
            "group": hashlib.sha256(text.encode()).hexdigest(),
            "uses": ["evaluate", "train"],
            "retain_until": "",
            **(rights or {}).get(path, {}),
        }
        for path, (text, split) in texts.items()
    ]
    half = len(rows) // 2
    for number, part in enumerate((rows[:half], rows[half:])):
        pyarrow.parquet.write_table(pa.Table.from_pylist(part), directory / f"documents-{number:05d}.parquet")
    return directory


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = {f"pkg{number % 3}/m{number}.py": (source(number), "train") for number in range(60)}
    texts |= {f"pkg{number % 2}/t{number}.py": (source(number), "test") for number in range(60, 84)}
    texts["notes.txt"] = ("Totals are made of items, and paths of lines. " * 12, "test")
    return write_corpus(tmp_path_factory.mktemp("corpus") / "corpus", texts)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tokenizer")
    fast = Tokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=[END_OF_DOCUMENT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    fast.train_from_iterator([source(number) for number in range(20)], trainer)
    PreTrainedTokenizerFast(tokenizer_object=fast, eos_token=END_OF_DOCUMENT).save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    """A model that has learnt nothing."""
    directory = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        eos_token_id=0,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(directory)
    for file in tokenizer.iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    return directory


def asset(kind: str, directory: Path) -> InputAsset:
    """A directory as a step sees it."""
    return InputAsset(hashlib.sha256(str(directory).encode()).hexdigest(), kind, directory, {}, ())
