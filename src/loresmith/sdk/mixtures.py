"""The shares of a mixture's sources, as its corpus says them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from loresmith.sdk.call import Answer


class MixtureSource(Answer):
    """A source of a mixture."""

    name: str = Field(description="The source.")
    available: float = Field(description="Its share of the text to train on that there is after curation, from 0 to 1.")
    wanted: float = Field(description="The share that its weight asks for.")
    train: float = Field(description="The share that it has.")
    epochs: float = Field(description="How often its text is drawn.")
    epochs_cap: float = Field(description="How often it may be drawn.")
    repeated_bytes: int = Field(description="Bytes that are there a second time or more.")
    validation: float = Field(description="Its share of the text of the validation split.")
    test: float = Field(description="Its share of the text of the test split.")


def sources_of(metadata: Mapping[str, Any]) -> tuple[MixtureSource, ...]:
    """The sources of a corpus that `mix` made; of any other, none."""
    said = metadata.get("sources")
    if not isinstance(said, Mapping) or "moved_documents" not in metadata:
        return ()
    return tuple(
        MixtureSource(
            name=name,
            available=source["available"]["share"],
            wanted=source["wanted_share"],
            train=source["train"]["share"],
            epochs=source["train"]["epochs"],
            epochs_cap=source["train"]["epochs_cap"],
            repeated_bytes=source["train"]["repeated_bytes"],
            validation=source["validation"]["share"],
            test=source["test"]["share"],
        )
        for name, source in said.items()
    )
