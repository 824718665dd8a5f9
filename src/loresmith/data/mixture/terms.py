"""On what terms the documents of a mixture may be used, where one of them stands in several corpora.

Terms are few, documents are many: they are kept as numbers of different terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loresmith.data.curation.terms import Terms

COLUMNS = ("licence", "owner", "labels", "uses", "retain_until")
"""What they are read from, and written to."""

OWN = 2**32 - 1
"""Instead of a number: the terms are those of the document's own row."""


@dataclass(frozen=True)
class SourceTerms:
    """What holds for a document, under which licences it is and who answers for it."""

    terms: Terms
    licences: frozenset[str]
    owners: frozenset[str]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> SourceTerms:
        """Those of a document's row."""
        return cls(Terms.of(row), frozenset({row["licence"]} - {""}), frozenset({row["owner"]} - {""}))

    def and_those_of(self, other: SourceTerms) -> SourceTerms:
        """What holds for a document of which both are said."""
        return SourceTerms(
            self.terms.and_those_of(other.terms), self.licences | other.licences, self.owners | other.owners
        )

    def row(self) -> dict[str, Any]:
        """As a row has it; several licences or owners are named one after the other."""
        return {
            "licence": ", ".join(sorted(self.licences)),
            "owner": ", ".join(sorted(self.owners)),
            "labels": sorted(self.terms.labels),
            "uses": sorted(self.terms.uses),
            "retain_until": self.terms.retain_until,
        }


class KnownTerms:
    """Different terms, each with a number."""

    def __init__(self) -> None:
        self._numbers: dict[SourceTerms, int] = {}
        self._known: list[SourceTerms] = []
        self._together: dict[tuple[int, int], int] = {}

    def number(self, terms: SourceTerms) -> int:
        """The number of terms, new or known."""
        number = self._numbers.setdefault(terms, len(self._known))
        if number == len(self._known):
            self._known.append(terms)
        return number

    def together(self, one: int, other: int) -> int:
        """The number of what holds where both do."""
        if (one, other) not in self._together:
            self._together[one, other] = self.number(self._known[one].and_those_of(self._known[other]))
        return self._together[one, other]

    def rows(self) -> list[dict[str, Any]]:
        """All of them, by number, as rows have them."""
        return [terms.row() for terms in self._known]

    def add_rows(self, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """The numbers here of those of another, as its `rows` said them."""
        return [self.number(SourceTerms.of(row)) for row in rows]
