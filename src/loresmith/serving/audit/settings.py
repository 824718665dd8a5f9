"""The key `audit` of a serving configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class AuditSettings(BaseModel):
    """How the gateway keeps its record. That it keeps one is not a setting."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: Literal["encrypted", "omitted"] = Field(
        default="encrypted",
        description="What is asked and answered: `encrypted` with a key of the caller's tenant, which `loresmith audit "
        "erase` destroys, or `omitted`: then nobody can be shown what was said, and no feedback becomes a dataset.",
    )
    gather_ms: float = Field(
        default=1,
        ge=0,
        le=50,
        description="How long after one write the next one begins at the earliest, in milliseconds, from 0 to 50: a "
        "write waits for the disk once, however many records came in the meantime.",
    )
    batch: int = Field(default=500, ge=1, le=10_000, description="The most records that are written together.")
    waiting: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="The most records that wait to be written; beyond that nothing more is answered, and of "
        "requests that are refused only the number comes on the record.",
    )
    patience_seconds: float = Field(
        default=5,
        gt=0,
        le=60,
        description="How long, in seconds, an answer waits for its record to be on the disk; then it is not given.",
    )
    probe_seconds: float = Field(
        default=1,
        gt=0,
        le=60,
        description="While the audit cannot be written: how often, in seconds, it is tried whether it can again.",
    )
