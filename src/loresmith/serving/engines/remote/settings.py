"""Which server computes a model, and how long it is waited for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from loresmith.serving.engines.generation import Words


class RemoteServer(Words):
    """A server that speaks OpenAI's completions protocol, as vLLM does."""

    url: str = Field(description="Up to and with `/v1`, such as `https://gpu-1.example:8000/v1`.")
    model: str = Field(min_length=1, description="What the server calls the model.")
    dialect: Literal["vllm", "openai"] = Field(
        default="vllm",
        description="`vllm` is sent what vLLM takes beyond OpenAI's protocol (top_k, min_p, forms, token ids); a "
        "request that needs one of those is refused for `openai`.",
    )
    key_variable: str | None = Field(
        default=None,
        pattern=r"^[A-Z_][A-Z0-9_]*$",
        description="The environment variable that holds the server's API key. The key itself stands in no file.",
    )
    certificates: Path | None = Field(
        default=None,
        description="Certificates (PEM) that vouch for the server, found as exports are; null: the machine's own.",
    )
    connect_seconds: float = Field(default=5, gt=0, le=60, description="In which the server must take a connection.")
    first_seconds: float = Field(
        default=60, gt=0, le=110, description="In which the first piece of an answer must come, queueing included."
    )
    read_seconds: float = Field(default=30, gt=0, le=110, description="In which each further piece must come.")
    attempts: int = Field(
        default=3, ge=1, le=10, description="How often a request is tried, as long as nothing of its answer has come."
    )
    failures: int = Field(default=5, ge=1, le=1000, description="So many in a row, and requests fail at once.")
    pause_seconds: float = Field(
        default=5, gt=0, le=600, description="How long they do, before one request is let through to try again."
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http or https address with a host")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must not hold a user, a password, a query or a fragment: name `key_variable` instead")
        return url.rstrip("/")
