"""The second extractor of text from PDFs: pdf_oxide, written in Rust, which shares no code with PDFium."""

from __future__ import annotations

from contextlib import suppress

_FAILS = (OSError, RuntimeError, ValueError)


class SecondOpinion:
    """A document as pdf_oxide reads it; `pages` counts those that it could read.

    It is the less tolerant of the two: what it cannot read says nothing about what the other one did.
    """

    def __init__(self, data: bytes) -> None:
        import pdf_oxide

        pdf_oxide.disable_logging()
        self.pages = 0
        self._document = None
        try:
            with suppress(*_FAILS):
                self._document = pdf_oxide.PdfDocument.from_bytes(data)
        except BaseException as error:
            if not _is_panic(error):
                raise

    def text(self, number: int) -> str | None:
        """The text of a page, from 1; None if it cannot be read."""
        if self._document is None:
            return None
        try:
            text = self._document.extract_text(number - 1)
        except _FAILS:
            return None
        except BaseException as error:
            if not _is_panic(error):
                raise
            self._document = None  # what a panic leaves behind is not to be asked again
            return None
        self.pages += 1
        return text


def _is_panic(error: BaseException) -> bool:
    """Rust's panics come as a class that no module exports, and that is no Exception."""
    return type(error).__name__ == "PanicException"
