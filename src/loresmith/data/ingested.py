"""What came of reading documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from loresmith.ledger.books import Books


@dataclass
class Ingested:
    """What came of it: the books, the fingerprint of what was read, and what is in the outputs.

    A file that gave no document is in the snapshot with its labels: `source_labels` may be more than `labels`. Of the
    `files`, `read` were read anew and the others known to be as they were; `extracted` counts those that went through a
    reader, files in files included. `erased` counts documents that were left out since they were once erased.
    `retain_until` is the first day on which one of them has to go. `stray_sidecars` are the paths of files that are not
    there and of which sidecars speak. `isolation` says whether the readers had a network; empty where none was needed.
    """

    books: Books = field(default_factory=Books)
    content: str = ""
    files: int = 0
    file_bytes: int = 0
    documents: int = 0
    text_bytes: int = 0
    labels: set[str] = field(default_factory=set)
    source_labels: set[str] = field(default_factory=set)
    media_types: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    owners: Counter[str] = field(default_factory=Counter)
    uses: Counter[str] = field(default_factory=Counter)
    retain_until: str = ""
    read: int = 0
    extracted: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    erased: int = 0
    stray_sidecars: AbstractSet[str] = frozenset()
    isolation: str = ""

    def count(self, row: Mapping[str, Any]) -> None:
        """Count a document."""
        self.documents += 1
        self.text_bytes += row["bytes"]
        self.labels.update(row["labels"])
        self.media_types[row["media_type"]] += 1
        self.languages[row["language"]] += 1
        self.licences[row["licence"]] += 1
        self.owners[row["owner"]] += 1
        self.uses.update(row["uses"])
        self.retain_until = min(filter(None, (self.retain_until, row["retain_until"])), default="")
