"""What the parts of reports have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Facts(BaseModel):
    """Base of reports and of their parts."""

    model_config = ConfigDict(frozen=True, extra="forbid")
