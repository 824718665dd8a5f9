"""The key `traffic_sample` of a serving configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TrafficSampleSettings(BaseModel):
    """What is kept of traffic to see later how it changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="Whether a sample is kept at all.")
    per_stratum: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="The most requests kept of one release, hour and outcome, drawn at random from all of those; what "
        "is rare is kept whole, and how many there were is counted.",
    )
    content: Literal["never", "with-consent", "always"] = Field(
        default="never",
        description="Whether what was said is kept with it, encrypted with the tenant's key: `never`, of callers that "
        "consented, or `always`.",
    )
    embeddings: bool = Field(
        default=False,
        description="Whether the vector of each prompt is kept, where the gateway has an embedder. A vector tells what "
        "a text is about, and often more.",
    )
    buckets: int = Field(
        default=1024,
        ge=16,
        le=65_536,
        description="Into how many buckets tokens are hashed before they are counted: fewer say less of the words.",
    )
    flush_seconds: float = Field(
        default=60,
        gt=0,
        le=3600,
        description="How often, in seconds, the sample is written; so much is lost by a kill.",
    )
    keep_days: int = Field(default=90, ge=1, le=3650, description="For how many days it is kept.")
    max_bytes: int = Field(
        default=1 << 30, ge=1 << 16, description="The most bytes of all days together; the oldest day goes first."
    )
