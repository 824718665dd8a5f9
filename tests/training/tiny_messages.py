"""Conversations and a base as small as they can be, and settings for a fine-tuning that takes a second."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from loresmith.factory.step import InputAsset
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.storage import save_model
from tests.data.conversations import asked, ingest_messages, jsonl
from tests.models.tiny_tokenizer import make_tokenizer
from tests.training.tiny_tokens import VOCABULARY

TINY_SFT = {
    "sequence_length": 192,
    "batch_tokens": 384,
    "micro_batch_tokens": 192,
    "epochs": 2,
    "optimiser": "muon",
    "matrix_learning_rate": 0.02,
    "embedding_learning_rate": 0.01,
    "head_learning_rate": 0.01,
    "other_learning_rate": 0.01,
    "precision": "bfloat16",
}
"""Settings of a fine-tuning that takes a second and learns something."""


def talk(number: int) -> dict[str, Any]:
    """A conversation of one to three questions, of its own length."""
    draw = random.Random(number)
    turns = []
    for _ in range(draw.randint(1, 3)):
        part = draw.choice(["filter", "panel", "pump"])
        turns += asked(f"Where is the {part}?", f"The {part} is {draw.choice(['behind', 'left'])}.")["messages"]
    system = [{"role": "system", "content": "Be brief."}] if draw.random() < 0.3 else []
    return {"messages": [*system, *turns], "id": number}


def write_dataset(folder: Path, records: list[Any] | None = None, **config: Any) -> InputAsset:
    """A dataset, as `ingest-messages` makes it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "talks.jsonl"
    file.write_text(jsonl([talk(number) for number in range(24)] if records is None else records), encoding="utf-8")
    made = ingest_messages(file, folder, **config).outputs["dataset"]
    return InputAsset(digest="2" * 64, kind="dataset", directory=made.directory, metadata=made.metadata, labels=())


def write_chat_base(directory: Path, tokenizer: Any = None, positions: int = 512, **shape: Any) -> InputAsset:
    """A model of which nothing is known, with a tokenizer that carries the house's chat template."""
    tokenizer = tokenizer or make_tokenizer()
    tokenizer.save_pretrained(directory / "tokenizer")
    settings = {"layers": 2, "width": 32, "head_dim": 16, **shape}
    config = transformers_config(
        Architecture(**settings),
        vocabulary_size=VOCABULARY,
        positions=positions,
        end_of_document=tokenizer.eos_token_id,
    )
    save_model(build_model(config, seed=1), directory / "model", directory / "tokenizer")
    return InputAsset(digest="1" * 64, kind="model", directory=directory / "model", metadata={}, labels=())
