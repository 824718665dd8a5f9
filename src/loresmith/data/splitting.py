"""Training, validation and test: which group is on which side.

The side follows from the group's name alone, by a hash: not from a seed, from the order of the files, or from what
else there is. So a document that was held out once is held out in every later corpus too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from loresmith.errors import UserError


@dataclass(frozen=True)
class Shares:
    """The shares of the groups that are held out, from 0 to 1; the rest is for training."""

    validation: float
    test: float

    def side(self, place: float) -> str:
        """The split of a place between 0 and 1."""
        if place < self.test:
            return "test"
        return "validation" if place < self.test + self.validation else "train"

    def wanted(self) -> list[str]:
        """The splits that must not be empty."""
        shares = {"test": self.test, "validation": self.validation, "train": 1 - self.test - self.validation}
        return [name for name, share in shares.items() if share > 0]


@dataclass(frozen=True)
class Splitting:
    """The split of every group, and the groups that had to change sides so that no split is empty."""

    sides: dict[str, str]
    moved: dict[str, str] = field(default_factory=dict)


def split_groups(names: Iterable[str], shares: Shares) -> Splitting:
    """Put every group on a side.

    A split that would be empty takes, from the split with most groups, the one whose hash comes next; a corpus
    of a few dozen groups may need that, a larger one hardly ever.

    Raises:
        UserError: there are fewer groups than splits.
    """
    places = {name: place_of(name) for name in names}
    wanted = shares.wanted()
    if len(places) < len(wanted):
        raise UserError(
            f"{len(places)} groups of near-identical documents cannot fill {len(wanted)} splits",
            hint="add documents, or set validation_share or test_share to 0",
        )
    sides = {name: shares.side(place) for name, place in places.items()}
    moved = {}
    for empty in wanted:
        if empty in sides.values():
            continue
        counts = {side: list(sides.values()).count(side) for side in wanted}
        largest = max(wanted, key=lambda side: counts[side])
        candidates = [name for name, side in sides.items() if side == largest]
        nearest = (
            max(candidates, key=places.__getitem__) if empty == "train" else min(candidates, key=places.__getitem__)
        )
        sides[nearest] = moved[nearest] = empty
    return Splitting(sides, moved)


def place_of(name: str) -> float:
    """A number from 0 to 1 that depends on nothing but the name."""
    return int.from_bytes(hashlib.sha256(f"split/{name}".encode()).digest()[:7], "big") / 2**56
