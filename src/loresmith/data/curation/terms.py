"""On what terms a text may be used, and how those of several copies come together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Terms:
    """What holds for a document.

    Attributes:
        labels: access labels.
        uses: what it may be used for.
        retain_until: the last day on which it may be kept, as YYYY-MM-DD; empty: no such day is set.
    """

    labels: frozenset[str]
    uses: frozenset[str]
    retain_until: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Terms:
        """Those of a document's row."""
        return cls(frozenset(row["labels"]), frozenset(row["uses"]), row["retain_until"])

    def and_those_of(self, other: Terms) -> Terms:
        """What holds for a text of which both are said: nobody takes away what another one demands."""
        days = [day for day in (self.retain_until, other.retain_until) if day]
        return Terms(self.labels | other.labels, self.uses & other.uses, min(days, default=""))
