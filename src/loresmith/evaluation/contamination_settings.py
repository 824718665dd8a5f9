"""What a person may choose about the search for evaluation cases in training text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from loresmith.data.contamination.case_index import Rule


class ContaminationSettings(BaseModel):
    """When a document counts as holding a case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int = Field(
        default=13,
        ge=5,
        le=100,
        description="Words in a run that gives a case away: letters and digits, without case and punctuation; a "
        "Chinese or Japanese character is a word.",
    )
    shortest: int = Field(
        default=4,
        ge=1,
        le=100,
        description="A case with fewer words than `tokens` counts as found where all of it stands, if it has at least "
        "so many; a shorter one cannot be told from other text, and is counted as not judged. So is one with fewer "
        "than 8 words that more than 10 documents hold, or whose answer is a regular expression.",
    )
    similarity: float | None = Field(
        default=0.5,
        ge=0.3,
        le=1.0,
        description="The share of a case's runs of five words that give it away in other wording, where they stand "
        "close together; none: only runs of `tokens` words do.",
    )

    def rule(self) -> Rule:
        from loresmith.data.contamination.case_index import Rule

        return Rule(self.tokens, min(self.shortest, self.tokens), self.similarity)
