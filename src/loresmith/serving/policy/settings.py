"""The key `policy` of a serving configuration."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from loresmith.serving.identity.settings import GroupName


class PolicySettings(BaseModel):
    """Who may do what. What no policy permits is denied, and what one forbids is denied whatever others permit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: bool = Field(
        default=True,
        description="Whether a caller who holds every label of a release, an adapter or a document may use it without "
        "further ado. Without it, only what `files` permit is possible. Labels must be held in any case.",
    )
    files: tuple[Path, ...] = Field(
        default=(), description="Your own policies in Cedar, on top; relative to the configuration's folder."
    )
    administrators: tuple[GroupName, ...] = Field(
        default=(), description="Groups whose members may look into the gateway and reload it. Nobody by default."
    )
