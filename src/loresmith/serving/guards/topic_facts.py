"""What a classifier of topics is, and how well it works."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

OTHER = "other"
"""The topic of what is about none of them."""

BITS = 16
"""Of the number of hashed features."""


class TopicQuality(BaseModel):
    """How well a topic is told from the others, on examples that were not learnt from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str = Field(description="The topic.")
    examples: int = Field(description="How many examples it has.")
    threshold: float = Field(description="How sure the classifier has to be: where F1 was highest.")
    precision: float = Field(description="Of what it takes for the topic, the share that is.")
    recall: float = Field(description="Of the topic's examples, the share that it finds.")
    f1: float = Field(description="Harmonic mean of both.")


class TopicFacts(BaseModel):
    """What a classifier is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=1, description="Of these files.")
    bits: int = Field(default=BITS, description="Of the hashed features.")
    examples: int = Field(description="How many it learnt from.")
    folds: int = Field(description="Into how many parts cross-validation divided them.")
    regularisation: float = Field(description="Of the weights (L2, of the mean loss).")
    topics: tuple[TopicQuality, ...] = Field(description="The topics, in the order of the weights.")
