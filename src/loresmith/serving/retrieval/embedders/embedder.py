"""What an embedder is: a text in, a vector of unit length out, the same one whatever else it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Vectors = NDArray[np.float32]


class EmbedderFacts(BaseModel):
    """Which embedder it is. Vectors can be compared only where these are the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["onnx", "model"] = Field(
        description="`onnx`: the files lie in the index. `model`: a model asset, which it takes to ask it something."
    )
    name: str = Field(description="What people call it.")
    digest: str = Field(description="SHA-256 over its files, or the digest of the model asset.")
    dimensions: int = Field(ge=1, description="How long its vectors are.")
    longest: int = Field(ge=1, description="Tokens of a text that it looks at; what comes behind them is not seen.")


class Embedder(Protocol):
    """Makes vectors of texts. May be called from several threads at once."""

    @property
    def facts(self) -> EmbedderFacts:
        """Which one it is."""

    def embed(self, texts: Sequence[str], *, question: bool = False) -> Vectors:
        """The vectors (texts, dimensions) of unit length, in float32; a text without any token has zeros.

        The vector of a text does not depend on what other texts are given with it: nobody's words are in anybody
        else's numbers, and an index gives the same scores however it was made.

        Args:
            question: whether they are questions, and not passages: some embedders tell them apart.
        """

    def tokens(self, text: str) -> int:
        """How many tokens a text has, as a passage, also beyond those that are looked at."""


def unit_length(vector: NDArray[Any]) -> Vectors:
    """A vector (D,) at length 1; zeros stay zeros."""
    length = float(np.linalg.norm(vector.astype(np.float64)))
    return (vector / length if length else vector).astype(np.float32)
