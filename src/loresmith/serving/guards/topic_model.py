"""A classifier of topics: multinomial logistic regression over hashed n-grams.

weights.safetensors    weights (C, FEATURES) float32, bias (C,) float32; C topics
topics.json            the topics, their thresholds, what cross-validation showed, and from what it learnt
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loresmith.errors import UserError
from loresmith.serving.guards.topic_facts import BITS, TopicFacts
from loresmith.serving.guards.topic_features import SparseVector, features

TOPICS_FILE = "topics.json"
WEIGHTS_FILE = "weights.safetensors"


class TopicModel:
    """A classifier that learnt.

    Args:
        facts: what it is.
        weights: (C, FEATURES).
        bias: (C,).
    """

    def __init__(self, facts: TopicFacts, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        self.facts = facts
        self._weights = weights
        self._bias = bias

    @classmethod
    def open(cls, directory: Path) -> TopicModel:
        """Read one.

        Raises:
            UserError: there is none, or one of another version.
        """
        from safetensors.numpy import load_file

        file = directory / TOPICS_FILE
        if not file.is_file():
            raise UserError(
                "there is no classifier of topics here", where=str(directory), hint="`loresmith guards train` makes one"
            )
        facts = TopicFacts.model_validate_json(file.read_bytes())
        if (facts.format, facts.bits) != (1, BITS):
            raise UserError("another version made this classifier", where=str(directory), hint="train it again")
        tensors = load_file(directory / WEIGHTS_FILE)
        return cls(facts, tensors["weights"], tensors["bias"])

    def save(self, directory: Path) -> None:
        """Write it; the same examples give the same bytes."""
        from safetensors.numpy import save_file

        save_file({"weights": self._weights, "bias": self._bias}, directory / WEIGHTS_FILE)
        text = self.facts.model_dump_json(indent=2) + "\n"
        (directory / TOPICS_FILE).write_text(text, encoding="utf-8")

    def probabilities(self, text: str) -> NDArray[np.float64]:
        """(C,) how likely each topic is; they add up to 1."""
        vector = features(text)
        return softmax(self._weights[:, vector.places] @ vector.values + self._bias)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def as_matrix(vectors: Sequence[SparseVector]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Vectors as rows of a sparse matrix: row, column and value of each entry."""
    rows = np.repeat(np.arange(len(vectors)), [len(vector.places) for vector in vectors])
    columns = np.concatenate([vector.places for vector in vectors])
    return rows, columns, np.concatenate([vector.values for vector in vectors])
