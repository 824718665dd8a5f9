"""Where the lines of text are on a page.

The network gives for every pixel how likely it lies within a line, shrunk so that lines do not touch (DBNet, Liao et
al., 2020). Connected pixels are a line, which is then grown by as much as it was shrunk. Lines are taken as level: a
page that is tilted as a whole is made level first, by `tilt`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession
    from PIL.Image import Image

LONGEST_SIDE = 1600
"""Pixels to which a page is scaled down before lines are looked for; print of 6 points on A4 is still 9 high."""

SHORTEST_SIDE = 64
"""Pixels to which a small picture is scaled up."""

_INSIDE, _LINE = 0.3, 0.5
_GROWTH = 1.6  # by which DBNet's lines are shrunk, as area times this by circumference
_LEAST_PIXELS = 3
_MOST_LINES = 2000


@dataclass(frozen=True)
class Box:
    """A level rectangle, in pixels of the page."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def width(self) -> float:
        return self.right - self.left


@dataclass
class _Region:
    """Connected pixels: their sums, and how likely they are."""

    left: int
    right: int
    top: int
    bottom: int
    pixels: int
    likely: float
    x: float
    y: float
    xx: float
    xy: float


def find_lines(page: Image, network: InferenceSession) -> tuple[list[Box], float]:
    """The lines on a page, and by how much they rise to the right (pixels a pixel, downwards positive)."""
    import PIL.Image

    scale = min(1.0, LONGEST_SIDE / max(page.size))
    scale = max(scale, min(SHORTEST_SIDE / min(page.size), LONGEST_SIDE / max(page.size)))
    width, height = (max(32, 32 * round(side * scale / 32)) for side in page.size)
    scaled = page.convert("RGB").resize((width, height), PIL.Image.Resampling.BILINEAR)
    likely = network.run(None, {network.get_inputs()[0].name: pixels_of(scaled)[None]})[0][0, 0]
    regions = [region for region in _regions(likely) if region.likely >= _LINE * region.pixels]
    regions = [region for region in regions if min(_sides(region)) >= _LEAST_PIXELS][:_MOST_LINES]
    across, down = page.width / width, page.height / height
    boxes = [_grown(region, across, down, page.size) for region in regions]
    return boxes, tilt(regions) * down / across


def pixels_of(picture: Image) -> NDArray[np.float32]:
    """Colour, height, width; blue first, as these networks were trained, and from -1 to 1."""
    pixels = np.asarray(picture, dtype=np.float32)[:, :, ::-1] / 127.5 - 1
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def tilt(regions: Sequence[_Region]) -> float:
    """How much the page leans: the median slope of its long lines, weighed by their lengths; 0 where there are few."""
    slopes = []
    for region in regions:
        width, height = _sides(region)
        spread = region.xx / region.pixels - (region.x / region.pixels) ** 2
        if width >= 8 * height or (width > 200 and width >= 3 * height):
            together = region.xy / region.pixels - (region.x / region.pixels) * (region.y / region.pixels)
            slopes.append((together / spread, width))
    if len(slopes) < 3:
        return 0.0
    slopes.sort()
    half, seen = sum(width for _, width in slopes) / 2, 0.0
    for slope, width in slopes:
        seen += width
        if seen >= half:
            return slope if math.isfinite(slope) else 0.0
    return 0.0


def _sides(region: _Region) -> tuple[int, int]:
    return region.right - region.left, region.bottom - region.top


def _grown(region: _Region, across: float, down: float, page: tuple[int, int]) -> Box:
    width, height = _sides(region)
    by = width * height * _GROWTH / (2 * (width + height))
    return Box(
        max(0.0, (region.left - by) * across),
        max(0.0, (region.top - by) * down),
        min(float(page[0]), (region.right + by) * across),
        min(float(page[1]), (region.bottom + by) * down),
    )


def _regions(likely: NDArray[np.float32]) -> list[_Region]:
    """Pixels that touch one another side by side or one above the other, from top to bottom.

    Row by row, in stretches: one that touches stretches of the row above joins what they belong to.
    """
    inside = np.zeros((likely.shape[0], likely.shape[1] + 2), dtype=np.int8)
    inside[:, 1:-1] = likely > _INSIDE
    rows, edges = np.nonzero(np.diff(inside, axis=1))
    starts, ends, rows = edges[::2], edges[1::2], rows[::2]
    sums = np.concatenate([np.zeros((len(likely), 1)), np.cumsum(likely, axis=1, dtype=np.float64)], axis=1)
    weights = sums[rows, ends] - sums[rows, starts]
    parents: list[int] = []
    regions: list[_Region] = []

    def root(of: int) -> int:
        while parents[of] != of:
            parents[of] = parents[parents[of]]
            of = parents[of]
        return of

    above: list[tuple[int, int, int]] = []
    current: list[tuple[int, int, int]] = []
    at, row_before = 0, -1
    for row, start, end, weight in zip(rows.tolist(), starts.tolist(), ends.tolist(), weights.tolist(), strict=True):
        if row != row_before:
            above, current, at = (current if row == row_before + 1 else []), [], 0
            row_before = row
        while at < len(above) and above[at][1] <= start:
            at += 1
        touched = at
        own = -1
        while touched < len(above) and above[touched][0] < end:
            other = root(above[touched][2])
            if own < 0:
                own = other
            elif other != own:
                _join(regions[own], regions[other])
                parents[other] = own
            touched += 1
        if own < 0:
            own = len(parents)
            parents.append(own)
            regions.append(_Region(start, end, row, row + 1, 0, 0.0, 0.0, 0.0, 0.0, 0.0))
        _add(regions[own], row, start, end, weight)
        current.append((start, end, own))
    return [region for number, region in enumerate(regions) if parents[number] == number]


def _add(region: _Region, row: int, start: int, end: int, weight: float) -> None:
    count = end - start
    x = (start + end - 1) * count / 2
    region.left, region.right = min(region.left, start), max(region.right, end)
    region.bottom = max(region.bottom, row + 1)
    region.pixels += count
    region.likely += weight
    region.x += x
    region.y += row * count
    region.xx += (end * (end - 1) * (2 * end - 1) - start * (start - 1) * (2 * start - 1)) / 6
    region.xy += x * row


def _join(region: _Region, other: _Region) -> None:
    region.left, region.right = min(region.left, other.left), max(region.right, other.right)
    region.top, region.bottom = min(region.top, other.top), max(region.bottom, other.bottom)
    for name in ("pixels", "likely", "x", "y", "xx", "xy"):
        setattr(region, name, getattr(region, name) + getattr(other, name))
