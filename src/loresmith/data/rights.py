"""What may be done with documents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from loresmith.data.globs import glob_regex


@dataclass(frozen=True)
class Rights:
    """What may be done with the documents of a source.

    Attributes:
        licence: of all of them.
        labels: access labels of all of them.
        label_rules: labels that files matching a pattern get on top.
        owner: who answers for them.
        uses: what they may be used for, of `USES`.
        retain_until: the last day on which they may be kept, as YYYY-MM-DD; empty: no such day is set.
    """

    licence: str = ""
    labels: Sequence[str] = ()
    label_rules: Mapping[str, Sequence[str]] = field(default_factory=dict)
    owner: str = ""
    uses: Sequence[str] = ("train", "evaluate", "retrieve")
    retain_until: str = ""

    @cached_property
    def _rules(self) -> list[tuple[re.Pattern[str], Sequence[str]]]:
        return [(glob_regex([pattern]), labels) for pattern, labels in self.label_rules.items()]

    def labels_of(self, path: str) -> list[str]:
        """All labels of what a file holds, sorted; one inside another has those of both, and of where it lies in it."""
        parts = path.split("!/")
        paths = ["/".join(parts[start:end]) for end in range(1, len(parts) + 1) for start in range(end)]
        ruled = (label for pattern, labels in self._rules for label in labels if any(map(pattern.fullmatch, paths)))
        return sorted({*self.labels, *ruled})
