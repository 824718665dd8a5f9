"""One way for readers of whole documents to say that a file is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps

from loresmith.data.readers.record import Reader, ReadingRules, Record, Refused


class NoDocumentError(Exception):
    """A file that is refused as a whole; `reason` and the text are those of `Refused`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def whole_document(read: Callable[[bytes, ReadingRules], Record]) -> Reader:
    """A reader of files that are one document each: what it raises is what the file is refused for."""

    @wraps(read)
    def reader(data: bytes, rules: ReadingRules) -> Iterator[Record | Refused]:
        try:
            yield read(data, rules)
        except NoDocumentError as error:
            yield Refused(error.reason, str(error), len(data))

    return reader
