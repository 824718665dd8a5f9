"""What lies in an `index` asset: index.json, a folder for each set of labels, and perhaps the embedder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loresmith.errors import Failure, UserError
from loresmith.ledger.digest import canonical_json
from loresmith.serving.retrieval.embedders.embedder import EmbedderFacts

INDEX, PARTITIONS, EMBEDDER, WORDS = "index.json", "partitions", "embedder", "words"

FORMAT = 2
"""2: passages have their documents' media type, language and licence, which policies decide by."""


class PartitionFacts(BaseModel):
    """The passages of the documents that have exactly these labels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str = Field(description="Its name in `partitions`, which follows from the labels.")
    labels: tuple[str, ...] = Field(description="Sorted; empty of what everybody may see.")
    documents: int
    passages: int


class IndexFacts(BaseModel):
    """index.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    words: int = Field(description="Of a passage, at most.")
    overlap: int = Field(description="Words that a passage has in common with the one before.")
    embedder: EmbedderFacts | None = Field(description="None: passages are found by their words alone.")
    partitions: tuple[PartitionFacts, ...]


def partition_name(labels: Sequence[str]) -> str:
    """The folder of a set of labels. It says nothing of how many others there are."""
    return hashlib.sha256(canonical_json(sorted(labels))).hexdigest()[:16]


def read_facts(directory: Path) -> IndexFacts:
    """What index.json says.

    Raises:
        UserError: there is none, or a newer Loresmith has written it.
        Failure: it is damaged.
    """
    file = directory / INDEX
    try:
        facts = IndexFacts.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise UserError(
            f"this is no index of passages: there is no {INDEX}",
            where=str(directory),
            hint="`loresmith index build CORPUS` makes one",
        ) from None
    except ValidationError as error:
        raise Failure(f"the index cannot be read: {error.errors()[0]['msg']}", where=str(file)) from None
    if facts.format != FORMAT:
        raise UserError(
            f"the index has format {facts.format}, and this Loresmith reads {FORMAT}",
            where=str(file),
            hint="`loresmith index build CORPUS` makes it anew"
            if facts.format < FORMAT
            else "a newer Loresmith made it",
        )
    for each in facts.partitions:
        if each.folder != partition_name(each.labels):  # an index may come from somebody who does not mean well
            raise Failure(f"a partition's folder is not that of its labels: {each.folder!r}", where=str(file))
    return facts
