"""What a preview says: of each rule what it would do to a sample of documents, and examples of that."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Sort = Literal["refusal", "size", "bound", "flag", "edit", "privacy", "merge", "other"]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Excerpt(_Said):
    """A stretch of a text with a little of what is around it; what points at a person or opens a door is masked."""

    left: str = Field(description="What stands before it.")
    text: str = Field(description="The stretch.")
    right: str = Field(description="What stands behind it.")


class Example(_Said):
    """One document that a rule would do something to."""

    id: str = Field(description="The document's id.")
    path: str = Field(description="Its path.")
    score: float | None = Field(default=None, description="The score that the rule looks at.")
    text: str = Field(default="", description="The beginning of the document, masked, where it would go as a whole.")
    before: Excerpt | None = Field(default=None, description="Of an edit: what stands there now.")
    after: Excerpt | None = Field(default=None, description="Of an edit: what would stand there.")
    times: int = Field(default=1, description="How often the same is done, letter for letter.")
    other: str = Field(default="", description="Path of the document that it is like, and that would stay for it.")
    similarity: float | None = Field(default=None, description="How much of the two is the same, from 0 to 1.")


class Spread(_Said):
    """How a score is spread over the documents that have it."""

    documents: int = Field(description="How many have it.")
    minimum: float = Field(description="The lowest.")
    p5: float = Field(description="5 % are below.")
    p50: float = Field(description="Half are below.")
    p95: float = Field(description="95 % are below.")
    maximum: float = Field(description="The highest.")
    counts: tuple[int, ...] = Field(description="How many are in each of so many equal parts from lowest to highest.")


class ScoreSpread(_Said):
    """A score of the documents that are held to one profile."""

    profile: str = Field(description="The profile.")
    score: str = Field(description="The score.")
    spread: Spread = Field(description="How it is spread.")


class PreviewedRule(_Said):
    """What one rule would do to the sample."""

    name: str = Field(description="As the books name it, such as `manuals: words`, `repair` or `privacy: email`.")
    sort: Sort = Field(description="What sort of rule it is.")
    profile: str = Field(default="", description="The profile that it belongs to; empty: it holds for all documents.")
    consequence: str = Field(description="What it does: drop, quarantine, merge, edit, cut, mask, flag, keep together.")
    because: str = Field(description="Why, or what it does.")
    documents: int = Field(description="To how many documents of the sample it applies.")
    decides: int = Field(description="For how many of them it is what decides; another rule may come first.")
    edits: int = Field(default=0, description="How many edits it would make in documents that stay, or findings.")
    bytes: int = Field(description="Bytes of the documents it decides over, or of what it changes or cuts.")
    share: float = Field(description="These bytes as a share of the sample's, from 0 to 1.")
    at_least: bool = Field(description="Whether the whole may have more: it compares documents, and saw only these.")
    minimum: float | None = Field(default=None, description="The least that is within its bound.")
    maximum: float | None = Field(default=None, description="The most that is within its bound.")
    spread: Spread | None = Field(default=None, description="How the score is spread that it looks at.")
    examples: tuple[Example, ...] = Field(default=(), description="Some of the documents.")


class Outcome(_Said):
    """What becomes of documents as a whole."""

    disposition: str = Field(description="kept, dropped, quarantined or merged.")
    documents: int = Field(description="How many.")
    bytes: int = Field(description="Their bytes, as they were read.")


class Preview(_Said):
    """What curation would do to a sample."""

    documents: int = Field(description="Documents of the sample.")
    bytes: int = Field(description="Bytes of their texts.")
    outcomes: tuple[Outcome, ...] = Field(description="What becomes of them.")
    profiles: dict[str, int] = Field(description="How many are held to each profile; an empty name: to none.")
    rules: tuple[PreviewedRule, ...] = Field(description="Every rule that could do something, also if it does not.")
    scores: tuple[ScoreSpread, ...] = Field(description="Every score, with or without a bound.")


class StepPreview(Preview):
    """What one step would do to a sample of its documents."""

    step: str = Field(description="The step's name in the recipe.")
    source: Literal["documents", "files"] = Field(
        description="What was chosen from: the documents of an asset, or files, since no run has read them yet."
    )
    asset: str | None = Field(description="Digest of the documents; null where files were read.")
    chosen: int = Field(description="How many documents, or files, were chosen.")
    in_all: int = Field(description="Of how many.")
    unread: dict[str, int] = Field(description="Of files: how many documents in them could not be read, by reason.")
    whole: bool = Field(description="Whether the sample is all there is.")
    left_out: tuple[str, ...] = Field(description="Inputs of the step that are not there yet, and so had no say.")
    overdue: str = Field(
        default="",
        description="Which documents may not be kept any more, so that the step stops unless `as_of` is set; what is "
        "shown is with `as_of` today. Empty: there are none, or `as_of` is set.",
    )
