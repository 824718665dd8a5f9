"""Pictures, as media documents: what the file says of them as metadata, and no text unless it is to be recognised.

Where a photograph was taken is left out.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from loresmith.data.readers.complaint import complaint
from loresmith.data.readers.pages import joined_pages, too_many_left_out
from loresmith.data.readers.record import ReadingRules, Record, Refused, metadata_json
from loresmith.data.recognition.recogniser import UNSURE, Recogniser

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 100_000_000
"""Of one picture, which is decoded once to see that it is whole: 300 MB of memory in colour."""

_MOST_FRAMES = 1000
_FORMATS = {  # only these: others start programs, or are rare enough to be badly tested
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
}
_SEVERAL = "image/jpeg"  # JPEG's way to hold several pictures calls itself MPO
_DATE_TAKEN, _DATE, _ORIENTATION, _EXIF = 0x9003, 0x0132, 0x0112, 0x8769
_EXIF_DATE = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)")
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, struct.error)
_MORE_DAMAGE = (ZeroDivisionError, AttributeError, NotImplementedError, RuntimeError, AssertionError)


def read_image(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused]:
    """One record, without text if there is none or nothing to recognise it with.

    A picture that cannot be decoded to its last row is refused as damaged.
    """
    import PIL.BmpImagePlugin
    import PIL.GifImagePlugin
    import PIL.Image
    import PIL.JpegImagePlugin
    import PIL.PngImagePlugin
    import PIL.TiffImagePlugin
    import PIL.WebPImagePlugin

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a warning of too many pixels: they are counted here
            with PIL.Image.open(io.BytesIO(data), formats=tuple(_FORMATS)) as image:
                yield _record(image, len(data), Recogniser(rules.ocr, rules.ocr_confidence) if rules.ocr else None)
    except PIL.Image.DecompressionBombError:
        yield Refused("too large", f"more than {MOST_PIXELS} pixels", len(data))
    except (*_DAMAGE, *_MORE_DAMAGE) as error:
        yield Refused("damaged", complaint(error), len(data))


def _record(image: Image, size: int, ocr: Recogniser | None) -> Record | Refused:
    pixels = image.width * image.height
    if pixels > MOST_PIXELS:
        return Refused("too large", f"{image.width} x {image.height} pixels, of which {MOST_PIXELS} are allowed", size)
    metadata: dict[str, Any] = {
        "width": image.width,
        "height": image.height,
        "mode": image.mode,
        "format": image.format,
        "frames": min(getattr(image, "n_frames", 1), _MOST_FRAMES),
        **_exif(image),
    }
    image.seek(0)
    image.load()
    media_type = _FORMATS.get(image.format or "", _SEVERAL)
    text, places = joined_pages({})
    if ocr:
        texts, unsure = _recognised(image, ocr)
        if unsure and too_many_left_out(len(unsure), len(texts)):
            return Refused(UNSURE, f"{len(unsure)} of its pages", size)
        metadata |= ocr.metadata | ({"left_out": {UNSURE: unsure}} if unsure else {})
        text, places = joined_pages(texts)
    return Record(text, size, metadata=metadata_json(metadata), media_type=media_type, pages=places)


def _recognised(image: Image, ocr: Recogniser) -> tuple[dict[int, str], list[int]]:
    """The text of its pages, of which only TIFF has several, and the numbers of those that do not count."""
    import PIL.ImageOps

    texts: dict[int, str] = {}
    unsure: list[int] = []
    pages = min(getattr(image, "n_frames", 1), _MOST_FRAMES) if image.format == "TIFF" else 1
    for number in range(1, pages + 1):
        image.seek(number - 1)
        if image.width * image.height > MOST_PIXELS:
            unsure.append(number)
            continue
        text, problem = ocr.page(number, PIL.ImageOps.exif_transpose(image))
        if problem:
            unsure.append(number)
        elif text:
            texts[number] = text
    return texts, unsure


def _exif(image: Image) -> dict[str, Any]:
    """When it was taken (as ISO 8601, of the place it was taken at) and how it is turned (1 to 8, 1 upright)."""
    exif = image.getexif()
    found: dict[str, Any] = {}
    taken = _EXIF_DATE.match(str(exif.get_ifd(_EXIF).get(_DATE_TAKEN) or exif.get(_DATE) or ""))
    if taken:
        found["taken"] = f"{taken[1]}-{taken[2]}-{taken[3]}T{taken[4]}"
    orientation = exif.get(_ORIENTATION)
    if image.format == "TIFF":  # Pillow has turned it: width and height are as it is shown
        orientation = None
    if isinstance(orientation, int) and 1 <= orientation <= 8:
        found["orientation"] = orientation
    return found
