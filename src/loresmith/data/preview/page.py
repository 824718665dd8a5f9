"""A preview as one HTML file, for people: it needs nothing beside it and runs nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from loresmith.data.preview.figures import figure, limits, share, size
from loresmith.data.preview.previewed import Spread, StepPreview

TEMPLATE = Path(__file__).with_name("page.html.jinja")

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Characters that would not be seen, or that turn round those beside them; tabs and line ends stay."""


def page(recipe: str, steps: Mapping[str, StepPreview]) -> str:
    """The page; whatever it quotes of documents is escaped.

    Args:
        recipe: its name.
        steps: by name.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"seen": seen, "size": size, "share": share, "figure": figure, "limits": limits}
    environment.globals["bars"] = bars
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(recipe=recipe, steps=steps)


def seen(text: str) -> str:
    """A text with what would not be seen written out: `a\\u202eb`."""
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def bars(spread: Spread, minimum: float | None, maximum: float | None) -> list[tuple[float, bool]]:
    """Height, from 0 to 1, of each part of a histogram, and whether it is out of bounds as a whole."""
    width = (spread.maximum - spread.minimum) / len(spread.counts)
    highest = max(spread.counts)
    drawn = []
    for number, count in enumerate(spread.counts):
        low, high = spread.minimum + number * width, spread.minimum + (number + 1) * width
        out = (minimum is not None and high < minimum) or (maximum is not None and low > maximum)
        drawn.append((count / highest, out))
    return drawn
