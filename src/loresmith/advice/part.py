"""What every part of the report is: frozen, with a sentence under each field."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """Base of the parts."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Share(Part):
    """Part of the corpus that has something in common."""

    name: str = Field(description="What it has in common.")
    documents: int = Field(description="How many documents.")
    bytes: int = Field(description="UTF-8 bytes of their text.")
    share: float = Field(description="Of all bytes, from 0 to 1.")


class Basis(Part):
    """On what something was measured."""

    documents: int = Field(description="How many documents were looked at.")
    bytes: int = Field(description="UTF-8 bytes of their text.")
    all: bool = Field(
        description="Whether these are all there are; otherwise they are a sample, spread over the corpus."
    )
