"""Texts with stretches replaced."""

from __future__ import annotations

from collections.abc import Iterable

from loresmith.serving.guards.guard import Hit


def redacted(text: str, hits: Iterable[Hit], start: int = 0, end: int | None = None) -> str:
    """Characters start .. end - 1 of a text with masks in place of hits.

    Hits that overlap become one, under the mask of the first; of one that begins before `start` or ends behind `end`
    the rest has the mask.
    """
    end = len(text) if end is None else end
    parts, done = [], start
    covered = start
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
        low, high = max(hit.start, start), min(hit.end, end)
        if low >= high or high <= covered:
            continue
        if low >= covered or covered == start:
            parts += [text[done:low], hit.mask]
        covered = done = high
    return "".join((*parts, text[done:end]))
