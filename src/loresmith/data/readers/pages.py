"""Pages of one document: put together, and how many of them may be missing."""

from __future__ import annotations

from collections.abc import Mapping

MOST_PAGES_LEFT_OUT = 0.5
"""Share of a file's pages with something on them that may be left out. Beyond it what is left is no document any more:
figures between scans refer to text that nobody has."""


def joined_pages(texts: Mapping[int, str]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The text of pages, by their numbers, as one; and where each begins, in characters."""
    if not texts:
        return "", ()
    places, length = [], 0
    for number, text in texts.items():
        places.append((number, length))
        length += len(text) + 2
    return "\n\n".join(texts.values()) + "\n", tuple(places)


def too_many_left_out(left_out: int, kept: int) -> bool:
    """Whether pages are missing to such a number that the rest is no document."""
    return kept == 0 or left_out > MOST_PAGES_LEFT_OUT * (left_out + kept)
