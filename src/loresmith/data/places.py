"""Where in an organisation's files a stretch of a document's text comes from: path, pages, bytes.

A text that rules have changed leads back by its `pieces` and its edits: of every byte that was read it is known whether
it is in a piece or went with an edit, so that the bytes before any character of a piece can be counted, although the
text as it was read is not there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from loresmith.data.edited_text import EditedText, Piece

PLACE_COLUMNS = (
    *("path", "text", "media_type", "bytes", "source_start", "source_bytes", "pages"),
    "pieces",  # of a corpus alone
)
"""What `place_of` looks at in a row."""

_MADE_ANEW = ("text/html", "text/csv", "text/tab-separated-values", "text/rtf")
"""Texts whose documents are not the bytes of their files."""


@dataclass(frozen=True)
class Place:
    """A place in a file.

    Attributes:
        path: of the file, as documents have it, with the record in it (`#L12`), if it has some.
        pages: numbers of the pages (slides, sheets, chapters) that it is on; empty where there are none.
        start, end: bytes start .. end - 1 of the file.
        exact: whether these are the bytes of this stretch alone, and not of the whole document.
    """

    path: str
    pages: tuple[int, ...]
    start: int
    end: int
    exact: bool


def place_of(row: Mapping[str, Any], start: int, end: int, edits: Sequence[Mapping[str, Any]] = ()) -> Place:
    """Where characters start .. end - 1 of a document's text come from.

    What a rule put there came of what stood in its place.

    Args:
        row: of a `documents` or `corpus` asset, with `PLACE_COLUMNS` as far as the asset has them.
        edits: the document's rows of edits.parquet, if it has `pieces`: `start` and `before_bytes`.

    Raises:
        ValueError: the text has no such characters.
    """
    return Places(row, edits).of(start, end)


class Places:
    """Where the stretches of one document's text come from; arguments as of `place_of`."""

    def __init__(self, row: Mapping[str, Any], edits: Sequence[Mapping[str, Any]] = ()) -> None:
        self._row = row
        self._text = _AsRead(row["text"], row.get("pieces") or (), edits)
        self._exact = _is_copy(row, self._text.size)

    def of(self, start: int, end: int) -> Place:
        """As `place_of`."""
        row = self._row
        if not 0 <= start <= end <= len(row["text"]) or (start == end and row["text"]):
            raise ValueError(f"characters {start} to {end} of a text that has {len(row['text'])}")
        first, last = self._text.bytes_of(start, end)
        record = (row["source_start"], row["source_start"] + row["source_bytes"])
        begin, stop = (record[0] + first, record[0] + last) if self._exact else record
        return Place(row["path"], _pages(row["pages"], first, last), begin, stop, self._exact)

    def page_borders(self) -> list[int]:
        """The characters inside the text with which another page begins than that of the character before."""
        characters = range(len(self._row["text"]))
        begins = (
            bisect_left(characters, page["start"], key=lambda at: self._text.bytes_of(at, at + 1)[0])
            for page in self._row["pages"]
        )
        return sorted({at for at in begins if 0 < at < len(characters)})


class _AsRead:
    """Bytes of UTF-8 in a text as it was read, before rules changed it.

    Attributes:
        size: of the whole text as it was read.
    """

    def __init__(self, text: str, pieces: Sequence[Mapping[str, int]], edits: Sequence[Mapping[str, Any]]) -> None:
        found = tuple(Piece(piece["at"], piece["start"], piece["length"]) for piece in pieces)
        self._edited = EditedText(text, found) if found else EditedText.of(text)
        self._bytes = _bytes_before(text)
        sizes = [int(self._bytes[piece.at + piece.length] - self._bytes[piece.at]) for piece in self._edited.pieces]
        self._kept: list[int] = [0, *accumulate(sizes)]
        gone = sorted((edit["start"], edit["before_bytes"]) for edit in edits) if found else []
        self._gone_at: list[int] = [at for at, _ in gone]
        self._gone: list[int] = [0, *accumulate(size for _, size in gone)]
        self.size = self._kept[-1] + self._gone[-1]

    def bytes_of(self, start: int, end: int) -> tuple[int, int]:
        """The bytes that characters start .. end - 1 of the text came of: the first, and the one behind the last."""
        first, last = self._edited.original(start, end)
        return self._before(first), self._before(last)

    def _before(self, character: int) -> int:
        """How many bytes stood before a character of the text as it was read, which is in a piece or ends one."""
        pieces = self._edited.pieces
        number = bisect_right(pieces, character, key=lambda piece: piece.start) - 1
        inside = 0
        if number >= 0:
            piece = pieces[number]
            end = piece.at + min(piece.length, character - piece.start)
            inside = self._kept[number] + int(self._bytes[end] - self._bytes[piece.at])
        # An edit that begins where this character is comes behind it.
        return inside + self._gone[bisect_right(self._gone_at, character - 1)]


def _bytes_before(text: str) -> Sequence[int] | np.ndarray[Any, np.dtype[np.int64]]:
    """How many bytes of UTF-8 stand before each character, and before the end."""
    if text.isascii():
        return range(len(text) + 1)
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    widths = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
    return np.concatenate(([0], np.cumsum(widths)))


def _is_copy(row: Mapping[str, Any], size: int) -> bool:
    """Whether the text as it was read is the bytes of the file, letter for letter."""
    media_type = row["media_type"]
    return size == row["source_bytes"] and media_type.startswith("text/") and media_type not in _MADE_ANEW


def _pages(pages: Sequence[Mapping[str, int]], first: int, last: int) -> tuple[int, ...]:
    begins = [page["start"] for page in pages]
    low = max(0, bisect_right(begins, first) - 1)
    high = bisect_right(begins, max(first, last - 1))
    return tuple(page["number"] for page in pages[low:high])
