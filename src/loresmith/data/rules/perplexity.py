"""How well a language model foresees a document."""

from __future__ import annotations

import math
from collections.abc import Callable

from loresmith.data.rules.finding import Finding, Pages

LossOf = Callable[[str], tuple[float, int]]
"""A text to its negative log-likelihood under a model, in nats, and how many bytes of UTF-8 that is the sum over; both
over what the model has seen, where a text is longer than its context. No bytes: the model can say nothing of it."""


class Perplexity:
    """Scores a document by a language model; unlike perplexity by token, bits per byte compare across tokenizers.

    | score | what it is |
    | --- | --- |
    | `bits_per_byte` | nats / ln 2 / bytes (Gao et al., "The Pile", 2020, section 3.1) |
    | `seen_bytes` | how many bytes that is said of; where there are none, the other is left out |
    """

    name = "perplexity"

    def __init__(self, loss_of: LossOf) -> None:
        self._loss_of = loss_of

    def look(self, text: str, language: str, media_type: str, pages: Pages) -> Finding:
        """As for every rule.

        Raises:
            ValueError: the model gave a loss that is no number, or below zero.
        """
        if not text:
            return Finding({"seen_bytes": 0.0})
        nats, seen = self._loss_of(text)
        if not seen:
            return Finding({"seen_bytes": 0.0})
        if not 0 <= nats < math.inf:
            raise ValueError(f"the model's loss is {nats}")
        return Finding({"bits_per_byte": nats / math.log(2) / seen, "seen_bytes": float(seen)})
