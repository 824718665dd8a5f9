"""Pages of one file that are recognised: what counts of them, and what is said of it in the file's metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loresmith.data.recognition.models import RecognitionModels
from loresmith.data.recognition.page_text import recognise

if TYPE_CHECKING:
    from PIL.Image import Image

UNSURE = "poorly recognised"
"""Why a page is left out of which the networks are not sure enough."""

LONGEST_SIDE = 5000
"""Pixels to which a page is scaled down: A4 at 400 dots an inch."""


class Recogniser:
    """Recognises the pages of one file.

    Args:
        models: what to recognise them with.
        least: mean confidence, from 0 to 1, below which a page does not count.
    """

    def __init__(self, models: RecognitionModels, least: float) -> None:
        self._models, self._least = models, least
        self._sure: dict[int, tuple[float, int]] = {}
        self._left_out = 0

    def page(self, number: int, picture: Image) -> tuple[str, str]:
        """The text of a page, empty where nothing looks like text; or, second, why it does not count.

        Raises:
            MemoryError: there is too little.
        """
        picture = _flat(picture)
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        try:
            found = recognise(picture, self._models)
        except (
            Exception
        ) as error:  # onnxruntime's errors have no base of their own, and say only in words what is wrong
            if "bad_alloc" in str(error) or "bad allocation" in str(error):
                raise MemoryError from None
            raise
        if (found.text or found.left_out) and found.confidence < self._least:
            return "", UNSURE
        if found.text:
            self._sure[number] = found.confidence, len(found.text)
            self._left_out += found.left_out
        return found.text, ""

    @property
    def pages(self) -> tuple[int, ...]:
        """Those that counted."""
        return tuple(self._sure)

    @property
    def metadata(self) -> dict[str, Any]:
        """For the record: nothing if no page counted."""
        if not self._sure:
            return {}
        total = sum(length for _, length in self._sure.values())
        mean = sum(confidence * length for confidence, length in self._sure.values()) / total
        told = {**self._models.identity, "confidence": round(mean, 3), "pages": list(self._sure)}
        return {"ocr": told | ({"lines_left_out": self._left_out} if self._left_out else {})}


def _flat(picture: Image) -> Image:
    """In colour, on white where it is transparent."""
    import PIL.Image

    if picture.mode.startswith("I;16"):
        picture = picture.point(lambda value: value / 256).convert("L")
    if "A" in picture.getbands() or "transparency" in picture.info:
        over = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", over.size, (255, 255, 255, 255))
        picture = PIL.Image.alpha_composite(white, over)
    return picture.convert("RGB")
