"""A model asset as an embedder: the mean of its last layer's states over the tokens of a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from loresmith.serving.retrieval.embedders.embedder import EmbedderFacts, Vectors, unit_length

LONGEST = 512
"""Tokens of a text that are looked at."""


class ModelEmbedder:
    """A causal language model whose states are averaged (mean pooling), one text at a time, on the CPU in fp32.

    Args:
        directory: a model asset.
        digest: the asset's, by which an index knows it again.

    Raises:
        UserError: it cannot be loaded.
    """

    def __init__(self, directory: Path, digest: str) -> None:
        import torch

        from loresmith.models.storage import load_model

        self._model, self._tokenizer = load_model(directory, torch.float32)
        self._lock = Lock()
        config: Any = self._model.config.get_text_config()
        self._facts = EmbedderFacts(
            kind="model",
            name=f"model {digest[:12]}",
            digest=digest,
            dimensions=config.hidden_size,
            longest=min(LONGEST, config.max_position_embeddings),
        )

    @property
    def facts(self) -> EmbedderFacts:
        return self._facts

    def embed(self, texts: Sequence[str], *, question: bool = False) -> Vectors:
        """As `Embedder.embed`; questions are treated as passages are."""
        found = np.zeros((len(texts), self._facts.dimensions), np.float32)
        with self._lock:
            for number, text in enumerate(texts):
                found[number] = self._computed(text)
        return found

    def tokens(self, text: str) -> int:
        """As `Embedder.tokens`."""
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _computed(self, text: str) -> Vectors:
        import torch

        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"][: self._facts.longest]
        if not ids:
            return np.zeros(self._facts.dimensions, np.float32)
        with torch.inference_mode():
            body: Any = self._model.base_model
            states_1TD = body(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state
        return unit_length(states_1TD[0].double().mean(0).numpy())
