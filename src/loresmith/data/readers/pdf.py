"""PDF: the text of each page, and only where there is reason to believe it.

PDFium extracts all pages. Pages that are pictures are told from pages that are empty, and on a sample of pages a second
extractor, which shares no code with it, is asked; what `pdf_doubts` then says of the sample decides whether every page
is compared. Pages that fail are left out and named in the metadata; a file of which too many fail is refused. Scans are
read by the operator's networks where the recipe names some.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from loresmith.data.readers.pages import joined_pages, too_many_left_out
from loresmith.data.readers.pdf_doubts import doubt_about, sampled
from loresmith.data.readers.pdf_second_opinion import SecondOpinion
from loresmith.data.readers.record import ReadingRules, Record, metadata_json
from loresmith.data.readers.refusal import NoDocumentError, whole_document
from loresmith.data.recognition.recogniser import LONGEST_SIDE, Recogniser

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

SCANNED_CHARACTERS = 50
"""A picture with fewer characters than this beside it is a scan: what stands there is a page number or a stamp of the
program that scanned; the shortest caption that says something is longer."""

SCANNED_COVERAGE = 0.5
"""Share of the page that pictures cover at least on a scan: scans fill the page but for margins that were cut off;
figures among text rarely take half of it."""

DOTS_PER_INCH = 200
"""At which scanned pages are recognised."""

_MOST_PICTURES = 4096  # looked at on one page; scans in strips have hundreds
_DATE = re.compile(r"\AD:(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:(Z)|([+-]\d\d)'(\d\d)'?)?.*", re.ASCII)
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]")


@whole_document
def read_pdf(data: bytes, rules: ReadingRules) -> Record:
    """One record with the text of all pages that could be read; `pages` says where each begins.

    The metadata has title, author and times, `pages` (how many there are), `left_out` (numbers of pages by reason:
    "scanned", or what `doubt_about` says), `compared` (pages that were extracted twice) and `copying` (false where the
    author did not permit it), and `ocr` where pages were recognised: by what, how surely, and which. Words that a line
    end divides are put together.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code in (pypdfium2.raw.FPDF_ERR_PASSWORD, pypdfium2.raw.FPDF_ERR_SECURITY):
            raise NoDocumentError("encrypted", "it needs a password") from None
        raise NoDocumentError("damaged", str(error)) from None
    try:
        return _record(document, data, Recogniser(rules.ocr, rules.ocr_confidence) if rules.ocr else None)
    finally:
        document.close()


def _record(document: PdfDocument, data: bytes, ocr: Recogniser | None) -> Record:
    pages = len(document)
    texts: dict[int, str] = {}
    left_out: dict[str, list[int]] = {}
    for number in range(1, pages + 1):
        text, problem = _page(document, number, ocr)
        if problem:
            left_out.setdefault(problem, []).append(number)
        elif text:
            texts[number] = text
    doubts, compared = _doubts(texts, data, ocr.pages if ocr else ())
    for number, doubt in doubts.items():
        left_out.setdefault(doubt, []).append(number)
        del texts[number]
    _refuse_if_too_little(texts, left_out, pages)
    metadata = _information(document) | {"pages": pages, "compared": compared}
    if ocr:
        metadata |= ocr.metadata
    if left_out:
        metadata["left_out"] = left_out
    text, places = joined_pages(texts)
    return Record(text, len(data), metadata=metadata_json(metadata), pages=places)


def _page(document: PdfDocument, number: int, ocr: Recogniser | None) -> tuple[str, str]:
    """The text of a page, or what is wrong with it."""
    import pypdfium2

    try:
        page = document[number - 1]
    except pypdfium2.PdfiumError:
        return "", "damaged"
    try:
        text = _text(page)
        if len(text) < SCANNED_CHARACTERS and _coverage(page) >= SCANNED_COVERAGE:
            return _recognised(page, number, ocr) if ocr else ("", "scanned")
    except pypdfium2.PdfiumError:
        return "", "damaged"
    else:
        return text, ""
    finally:
        page.close()


def _recognised(page: PdfPage, number: int, ocr: Recogniser) -> tuple[str, str]:
    scale = min(DOTS_PER_INCH / 72, LONGEST_SIDE / max(1.0, *page.get_size()))
    text, problem = ocr.page(number, page.render(scale=scale).to_pil())
    return text, problem or ("" if text else "scanned")


def _text(page: PdfPage) -> str:
    from pypdfium2 import raw

    textpage = page.get_textpage()
    try:
        # Not get_text_range, which calls itself once for each character that is not shown.
        count = raw.FPDFText_CountChars(textpage.raw)
        if count <= 0:
            return ""
        buffer = bytearray(2 * (2 * count + 1))
        array = (raw.c_ushort * (2 * count + 1)).from_buffer(buffer)
        written = raw.FPDFText_GetText(textpage.raw, 0, count, array)
    finally:
        textpage.close()
    text = buffer[: 2 * max(written - 1, 0)].decode("utf-16-le", errors="replace")
    # PDFium writes U+FFFE for the hyphen of a word that goes on in the next line, and joins the lines.
    lines = _NO_TEXT.sub("", text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()


def _coverage(page: PdfPage) -> float:
    """Share of the page that pictures cover; those that lie on one another count twice."""
    from pypdfium2 import raw

    page_left, page_bottom, page_right, page_top = page.get_bbox()
    area = (page_right - page_left) * (page_top - page_bottom)
    covered = 0.0
    for seen, picture in enumerate(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=4)):
        if seen >= _MOST_PICTURES:
            break
        left, bottom, right, top = picture.get_bounds()
        width = min(right, page_right) - max(left, page_left)
        height = min(top, page_top) - max(bottom, page_bottom)
        covered += max(0.0, width) * max(0.0, height)
    return covered / area if area > 0 else 0.0


def _doubts(texts: dict[int, str], data: bytes, recognised: Collection[int]) -> tuple[dict[int, str], int]:
    """What is wrong with the text of which pages, and how many were extracted twice; none that were recognised.

    Every page is judged by itself. One page of the sample that fails against the second extractor brings all pages to
    be compared.
    """
    found = {number: doubt for number, text in texts.items() if (doubt := doubt_about(text, None))}
    rest = [number for number in texts if number not in found and number not in recognised]
    sample = sampled(rest)
    second = SecondOpinion(data)
    doubts = {number: doubt_about(texts[number], second.text(number)) for number in sample}
    if any(doubts.values()):
        doubts |= {number: doubt_about(texts[number], second.text(number)) for number in rest if number not in doubts}
    found |= {number: doubt for number, doubt in doubts.items() if doubt}
    return {number: found[number] for number in sorted(found)}, second.pages


def _refuse_if_too_little(texts: dict[int, str], left_out: dict[str, list[int]], pages: int) -> None:
    failed = sum(map(len, left_out.values()))
    if not too_many_left_out(failed, len(texts)):
        return
    if not failed:
        raise NoDocumentError("empty", f"no text on its {pages} pages")
    reason = Counter({reason: len(numbers) for reason, numbers in left_out.items()}).most_common(1)[0][0]
    counts = ", ".join(f"{len(numbers)} {reason}" for reason, numbers in left_out.items())
    raise NoDocumentError(reason, f"of {pages} pages: {counts}")


def _information(document: PdfDocument) -> dict[str, Any]:
    from pypdfium2 import raw

    names = {"Title": "title", "Author": "author", "CreationDate": "created", "ModDate": "modified"}
    told = {name: _NO_TEXT.sub("", _said(document, key)).strip() for key, name in names.items()}
    told |= {key: _DATE.sub(_iso, told[key]) for key in ("created", "modified")}
    copying = raw.FPDF_GetDocPermissions(document.raw) & 1 << 4  # ISO 32000-1, table 22: bit 5
    return {key: value for key, value in told.items() if value} | ({} if copying else {"copying": False})


def _said(document: PdfDocument, key: str) -> str:
    """What is said of the document under a key. To `get_metadata_value` half of a surrogate pair is an error."""
    from pypdfium2 import raw

    size = raw.FPDF_GetMetaText(document.raw, key.encode(), None, 0)
    buffer = ctypes.create_string_buffer(size)
    raw.FPDF_GetMetaText(document.raw, key.encode(), buffer, size)
    return buffer.raw[: max(size - 2, 0)].decode("utf-16-le", errors="replace")


def _iso(date: re.Match[str]) -> str:
    """ISO 32000-1, 7.9.4, as ISO 8601."""
    year, month, day, hour, minute, second, utc, hours, minutes = date.groups(default="")
    zone = "Z" if utc else f"{hours}:{minutes}" if hours else ""
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}{zone}"
