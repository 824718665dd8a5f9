"""What was found, where, and how sure that is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """A stretch of a text that should not be read by everybody. It never carries the text itself.

    Attributes:
        start: offset of its first character.
        end: offset after its last character.
        kind: what it is, one of `rules.KINDS`.
        confidence: from 0 to 1, how sure the rule is: an order made by hand, not a measured probability.
        rule: the rule that found it, such as `iban/DE` or `secret/github`.
    """

    start: int
    end: int
    kind: str
    confidence: float
    rule: str


def settle(findings: Iterable[Finding]) -> list[Finding]:
    """Findings of which no two overlap, sorted: of two that do, the longer stays, then the more confident."""
    ranked = sorted(set(findings), key=lambda found: (found.start - found.end, -found.confidence, found))
    starts: list[int] = []
    kept: list[Finding] = []
    for found in ranked:
        place = bisect_left(starts, found.start)
        if place and kept[place - 1].end > found.start:
            continue
        if place < len(kept) and kept[place].start < found.end:
            continue
        starts.insert(place, found.start)
        kept.insert(place, found)
    return kept
