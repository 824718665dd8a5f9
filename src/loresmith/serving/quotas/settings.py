"""The key `quotas` of a serving configuration."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field

from loresmith.serving.identity.settings import GroupName, PrincipalId


class Limits(BaseModel):
    """How much somebody may use; what is not given is not limited."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: float | None = Field(default=None, gt=0, description="Requests, in the long run.")
    request_burst: int | None = Field(
        default=None,
        ge=1,
        description="Requests that may come at once after a pause. By default ten seconds' worth, and one at least.",
    )
    tokens_per_minute: int | None = Field(
        default=None,
        gt=0,
        description="Tokens of prompts and answers, in the long run. The longest answer that a request asks for is set "
        "aside, and what it did not take is given back.",
    )
    token_burst: int | None = Field(
        default=None,
        ge=1,
        description="Tokens that may be taken at once after a pause, so also the largest request. By default a "
        "minute's worth.",
    )
    concurrent: int | None = Field(
        default=None,
        ge=1,
        description="Requests at work or waiting at the same time; one for several answers (`n`) counts as so many.",
    )
    tokens_per_day: int | None = Field(
        default=None, gt=0, description="Tokens from midnight to midnight UTC; kept when the gateway starts again."
    )

    @property
    def requests_at_once(self) -> int:
        """`request_burst` with its default. Call it only where `requests_per_minute` is given."""
        return self.request_burst or max(1, math.ceil((self.requests_per_minute or 0) / 6))

    @property
    def tokens_at_once(self) -> int:
        """`token_burst` with its default. Call it only where `tokens_per_minute` is given."""
        return self.token_burst or self.tokens_per_minute or 1


class QuotaSettings(BaseModel):
    """How much anyone may use, and who comes first when all is taken. All limits that apply to a request must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    each_key: Limits = Field(default=Limits(), description="What each API key may use.")
    each_caller: Limits = Field(
        default=Limits(), description="What each user or service may use, with all of its keys and tokens together."
    )
    callers: dict[PrincipalId, Limits] = Field(
        default_factory=dict, description="What single users or services may use, in place of `each_caller`."
    )
    groups: dict[GroupName, Limits] = Field(
        default_factory=dict, description="What all members of a group may use together."
    )
    running: int = Field(
        default=32,
        ge=1,
        le=10_000,
        description="Requests at work at once, one for several answers (`n`) as so many; more wait for their turn.",
    )
    waiting: int = Field(
        default=64, ge=0, le=10_000, description="Requests of one group that may wait; more of them are turned away."
    )
    patience_seconds: float = Field(
        default=30.0, gt=0, le=3600, description="How long a request waits for its turn before it is turned away."
    )
