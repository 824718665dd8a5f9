"""In which order the lines on a page are read: columns from left to right, in each from top to bottom.

Recursive cuts along white space (XY-cut, Nagy and Seth, 1984). A gutter divides columns of text only if there is
running text on both sides; what stands side by side in a table is read across.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import median

from loresmith.data.recognition.detection import Box

_LEAST_LINES = 3
_LEAST_SHARE = 0.25  # of the width, that lines of a column take up; cells of a table are narrower
_LEAST_GAP = 0.8  # of the height of lines, between blocks
_PARAGRAPH = 1.6  # times as far apart as lines mostly are

Row = list[Box]


def reading_order(boxes: Sequence[Box]) -> list[list[Row]]:
    """Blocks of rows of boxes, in the order in which they are read; the boxes of a row from left to right."""
    if not boxes:
        return []
    height = median(box.height for box in boxes)
    gutter = _gutter(boxes, height)
    if gutter is not None:
        left = [box for box in boxes if box.right <= gutter]
        right = [box for box in boxes if box.right > gutter]
        return [*reading_order(left), *reading_order(right)]
    cut = _widest_gap([(box.top, box.bottom) for box in boxes])
    if cut is not None and cut[1] >= max(_LEAST_GAP * height, _PARAGRAPH * _usual_gap(boxes)):
        upper = [box for box in boxes if box.bottom <= cut[0]]
        lower = [box for box in boxes if box.bottom > cut[0]]
        return [*reading_order(upper), *reading_order(lower)]
    return [_rows(boxes)]


def _gutter(boxes: Sequence[Box], height: float) -> float | None:
    """Where columns part, if they do."""
    found = _widest_gap([(box.left, box.right) for box in boxes])
    if found is None or found[1] < height:
        return None
    wide = max(box.right for box in boxes) - min(box.left for box in boxes)
    for side in ([box for box in boxes if box.right <= found[0]], [box for box in boxes if box.right > found[0]]):
        if len(side) < _LEAST_LINES or median(box.width for box in side) < _LEAST_SHARE * wide:
            return None
    return found[0]


def _usual_gap(boxes: Sequence[Box]) -> float:
    """White space between rows, in the middle of all there is."""
    rows = _rows(boxes)
    gaps = [
        min(box.top for box in lower) - max(box.bottom for box in upper) for upper, lower in itertools.pairwise(rows)
    ]
    return median(gaps) if gaps else 0.0


def _widest_gap(spans: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """The begin and the width of the widest stretch between spans that none of them covers."""
    best: tuple[float, float] | None = None
    reached = min(begin for begin, _ in spans)
    for begin, end in sorted(spans):
        if begin > reached and (best is None or begin - reached > best[1]):
            best = reached, begin - reached
        reached = max(reached, end)
    return best


def _rows(boxes: Sequence[Box]) -> list[Row]:
    """Boxes that stand side by side: of which the middle lies within the height of the row's first."""
    rows: list[Row] = []
    for box in sorted(boxes, key=lambda box: (box.top + box.bottom, box.left)):
        middle = (box.top + box.bottom) / 2
        if rows and rows[-1][0].top + 0.2 * rows[-1][0].height < middle < rows[-1][0].bottom - 0.2 * rows[-1][0].height:
            rows[-1].append(box)
        else:
            rows.append([box])
    return [sorted(row, key=lambda box: box.left) for row in rows]
