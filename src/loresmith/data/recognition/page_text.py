"""The text on a picture of a page, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loresmith.data.recognition.detection import Box, find_lines, pixels_of
from loresmith.data.recognition.models import Networks, RecognitionModels, load_networks
from loresmith.data.recognition.reading_order import reading_order

if TYPE_CHECKING:
    from PIL.Image import Image

LEAST_OF_A_LINE = 0.5
"""Confidence below which a line is none: specks and drawings are found as lines, too. It still counts for the page."""

_HEIGHT = 48  # that lines are scaled to
_LONGEST = 4800
_LEAST_TILT = 0.002


@dataclass(frozen=True)
class PageText:
    """What a page says.

    Attributes:
        text: lines; an empty line between blocks, a tab between what stands side by side.
        confidence: mean over the characters found, from 0 to 1; 1 where there are none.
        left_out: lines that are too unsure to be any.
    """

    text: str
    confidence: float
    left_out: int


def recognise(page: Image, models: RecognitionModels) -> PageText:
    """Read a page that stands upright, or nearly so."""
    import PIL.Image

    networks = load_networks(models)
    page = page.convert("RGB")
    boxes, slope = find_lines(page, networks.detection)
    if abs(slope) > _LEAST_TILT:
        page = page.rotate(math.degrees(math.atan(slope)), PIL.Image.Resampling.BICUBIC, fillcolor=_background(page))
        boxes, _ = find_lines(page, networks.detection)
    read = {box: _line(page, box, networks) for box in boxes}
    total = sum(len(text) for text, _ in read.values())
    confidence = sum(len(text) * sure for text, sure in read.values()) / total if total else 1.0
    kept = {box: text for box, (text, sure) in read.items() if text.strip() and sure >= LEAST_OF_A_LINE}
    blocks = [
        "\n".join("\t".join(kept[box].strip() for box in row) for row in block) for block in reading_order([*kept])
    ]
    unsure = sum(1 for text, sure in read.values() if text.strip() and sure < LEAST_OF_A_LINE)
    return PageText("\n\n".join(blocks), round(confidence, 3), unsure)


def _background(page: Image) -> tuple[int, ...]:
    """The colour that most of the page has, roughly."""
    return tuple(int(value) for value in np.median(np.asarray(page.resize((64, 64))).reshape(-1, 3), axis=0))


def _line(page: Image, box: Box, networks: Networks) -> tuple[str, float]:
    """What a line says, and the mean confidence of its characters."""
    import PIL.Image

    left, top = math.floor(box.left), math.floor(box.top)
    cut = page.crop((left, top, max(left + 1, math.ceil(box.right)), max(top + 1, math.ceil(box.bottom))))
    if cut.height >= 1.5 * cut.width:  # set sideways
        cut = cut.transpose(PIL.Image.Transpose.ROTATE_90)
    width = min(_LONGEST, max(16, round(cut.width * _HEIGHT / cut.height)))
    picture = cut.resize((width, _HEIGHT), PIL.Image.Resampling.BILINEAR)
    network = networks.recognition
    likely = network.run(None, {network.get_inputs()[0].name: pixels_of(picture)[None]})[0][0]
    best = likely.argmax(axis=1)
    # Of equal neighbours one counts, and the first class is a gap: that is how double letters are told apart.
    places = [at for at, found in enumerate(best) if found and (at == 0 or found != best[at - 1])]
    if not places:
        return "", 0.0
    return "".join(networks.characters[best[at]] for at in places), float(
        np.mean([likely[at, best[at]] for at in places])
    )
