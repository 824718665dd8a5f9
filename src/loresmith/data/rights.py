"""What may be done with documents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from loresmith.data.globs import glob_regex
from loresmith.data.rights_sidecars import Sidecars


@dataclass(frozen=True)
class DocumentRights:
    """What may be done with one document.

    Attributes:
        licence: under which it is.
        owner: who answers for it.
        labels: its access labels, sorted.
        uses: what it may be used for, sorted.
        retain_until: the last day on which it may be kept, as YYYY-MM-DD; empty: no such day is set.
    """

    licence: str
    owner: str
    labels: Sequence[str]
    uses: Sequence[str]
    retain_until: str

    def stricter_than(self, other: DocumentRights) -> bool:
        """Whether less may be done with the document than with another: it has a label that the other has not, must not
        be used for something that the other may, or has to go earlier."""
        sooner = bool(self.retain_until) and (not other.retain_until or self.retain_until < other.retain_until)
        return sooner or not set(self.labels) <= set(other.labels) or not set(self.uses) >= set(other.uses)


@dataclass(frozen=True)
class Rights:
    """What may be done with the documents of a source: what the recipe says, and what sidecars say beside it.

    Attributes:
        licence: of all of them.
        labels: access labels of all of them.
        label_rules: labels that files matching a pattern get on top.
        owner: who answers for them.
        uses: what they may be used for, of `USES`.
        retain_until: the last day on which they may be kept, as YYYY-MM-DD; empty: no such day is set.
        sidecars: what stands beside the files.
        links: the paths of symbolic links, and of the files that they lead to. What is said of either holds.
    """

    licence: str = ""
    labels: Sequence[str] = ()
    label_rules: Mapping[str, Sequence[str]] = field(default_factory=dict)
    owner: str = ""
    uses: Sequence[str] = ("train", "evaluate", "retrieve")
    retain_until: str = ""
    sidecars: Sidecars = field(default_factory=Sidecars)
    links: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _rules(self) -> list[tuple[re.Pattern[str], Sequence[str]]]:
        return [(glob_regex([pattern]), labels) for pattern, labels in self.label_rules.items()]

    def of(self, path: str) -> DocumentRights:
        """What may be done with what a file holds.

        Nobody can take away what another one demands: labels add up, a use must be allowed by all, and of the days on
        which it must go the first counts. Licence and owner are as the nearest says it: the sidecar of the file, then
        that of the innermost folder, and the recipe last; where the file lies comes before a link that leads to it.
        """
        paths = self._under(path)
        stated = [said for each in paths for said in self.sidecars.of(each)]
        licences = [said.licence for said in stated if said.licence is not None]
        owners = [said.owner for said in stated if said.owner is not None]
        uses = set(self.uses).intersection(*(said.uses for said in stated if said.uses is not None))
        days = [said.retain_until.isoformat() for said in stated if said.retain_until is not None]
        days += [self.retain_until] if self.retain_until else []
        return DocumentRights(
            licence=licences[-1] if licences else self.licence,
            owner=owners[-1] if owners else self.owner,
            labels=sorted({*self.labels_of(path), *(label for said in stated for label in said.labels)}),
            uses=sorted(uses),
            retain_until=min(days, default=""),
        )

    def labels_of(self, path: str) -> list[str]:
        """The labels that the recipe gives to what a file holds, sorted; one inside another has those of both, and of
        where it lies in it."""
        paths: list[str] = []
        for each in self._under(path):
            parts = each.split("!/")
            paths += ("/".join(parts[start:end]) for end in range(1, len(parts) + 1) for start in range(end))
        ruled = (label for pattern, labels in self._rules for label in labels if any(map(pattern.fullmatch, paths)))
        return sorted({*self.labels, *ruled})

    def _under(self, path: str) -> list[str]:
        """The path, and that of where it lies if a link leads there."""
        outer, into, inside = path.partition("!/")
        return [path, self.links[outer] + into + inside] if outer in self.links else [path]
