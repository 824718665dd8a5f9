"""Where a gap is cut into a text: anywhere, or within one line."""

from __future__ import annotations

import random
from itertools import accumulate
from typing import Literal

Level = Literal["document", "line"]


def draw_gap(text: str, level: Level, longest: int | None, draw: random.Random) -> tuple[int, int] | None:
    """Draw the start and the end of a gap, in characters.

    With a `longest`, the gap's length is drawn evenly from 1 .. longest and then its place evenly among those where it
    fits; where it fits nowhere it is as long as it can be. Without one, a place is cut twice, both evenly: the whole
    text, or a line drawn in proportion to its length; both cuts may fall together.

    Args:
        text: what is cut.
        level: `document`: the gap may lie anywhere; `line`: it holds no line end.
        longest: characters of the gap at most.
        draw: where chance comes from.

    Returns:
        None for a text that has no character to leave out.
    """
    places = [(0, len(text))] if level == "document" else _lines(text)
    most = max(end - start for start, end in places)
    if most == 0:
        return None
    if longest is None:
        start, end = draw.choices(places, weights=[end - start for start, end in places])[0]
        first, second = sorted((draw.randint(start, end), draw.randint(start, end)))
        return first, second
    length = min(draw.randint(1, longest), most)
    starts = list(accumulate(max(0, end - start - length + 1) for start, end in places))
    chosen = draw.randrange(starts[-1])
    place = next(number for number, below in enumerate(starts) if chosen < below)
    first = places[place][1] - length - (starts[place] - 1 - chosen)
    return first, first + length


def _lines(text: str) -> list[tuple[int, int]]:
    """Start and end of each line, without its line end."""
    ends = [place for place, character in enumerate(text) if character == "\n"]
    return list(zip([0, *(end + 1 for end in ends)], [*ends, len(text)], strict=True))
