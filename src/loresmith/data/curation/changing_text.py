"""A document's text while rules change it: where its pages are, what was changed, and where the bytes went."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from loresmith.data.edited_text import Edit, EditedText, Piece
from loresmith.data.rules.finding import Pages
from loresmith.ledger.books import Disposition

_NAMES: list[tuple[str, pa.DataType]] = [(name, pa.string()) for name in ("id", "path", "rule")]
_NUMBERS: list[tuple[str, pa.DataType]] = [
    (name, pa.int64()) for name in ("start", "end", "before_bytes", "after_bytes")
]
EDIT_COLUMNS = pa.schema([*_NAMES, *_NUMBERS])
"""`start` and `end` are characters of the document's text as it was read."""

GONE = pa.list_(pa.struct([("disposition", pa.string()), ("reason", pa.string()), ("bytes", pa.int64())]))
"""Where the bytes of a document went that are no longer in it."""


class ChangingText:
    """A text under way.

    Args:
        edited: as it is so far.
        gone: bytes of the text as it was read that went, by disposition and reason.

    Attributes:
        edits: those made here, in the order in which they were made (`EDIT_COLUMNS` but for `id` and `path`).
    """

    def __init__(self, edited: EditedText, gone: Mapping[tuple[Disposition, str], int] | None = None) -> None:
        self.edited = edited
        self.gone: Counter[tuple[Disposition, str]] = Counter(gone or {})
        self.edits: list[dict[str, Any]] = []

    @classmethod
    def restored(cls, row: Mapping[str, Any]) -> ChangingText:
        """From a row that has `text`, `pieces` and `gone`."""
        if not row["gone"]:
            return cls(EditedText.of(row["text"]))
        pieces = tuple(Piece(piece["at"], piece["start"], piece["length"]) for piece in row["pieces"])
        gone = {(part["disposition"], part["reason"]): part["bytes"] for part in row["gone"]}
        return cls(EditedText(row["text"], pieces), gone)

    @property
    def text(self) -> str:
        return self.edited.text

    def stored(self) -> dict[str, Any]:
        """What `restored` takes; without pieces where nothing was changed."""
        return {
            "text": self.text,
            "bytes": len(self.text.encode()),
            "pieces": [vars(piece) for piece in self.edited.pieces] if self.gone else [],
            "gone": [
                {"disposition": disposition, "reason": reason, "bytes": count}
                for (disposition, reason), count in sorted(self.gone.items())
            ],
        }

    def apply(self, edits: Sequence[Edit], disposition: Disposition, reason: str = "") -> None:
        """Make edits of the present text.

        Args:
            edits: in order and without overlaps.
            disposition: of the bytes that go.
            reason: for the books; empty: the rule of each edit.
        """
        for edit in edits:
            start, end = self.edited.original(edit.start, edit.end)
            before = sum(len(text.encode()) for text in self.edited.left_of_original(edit.start, edit.end))
            self.gone[disposition, reason or edit.rule] += before
            self.edits.append(
                {
                    "rule": edit.rule,
                    "start": start,
                    "end": end,
                    "before_bytes": before,
                    "after_bytes": len(edit.text.encode()),
                }
            )
        self.edited = self.edited.apply(edits)

    def pages(self, original: Pages) -> Pages:
        """Where pages now begin; one of which nothing is left begins where the next does.

        Args:
            original: where they begin in the text as it was read, in characters.
        """
        if not self.edits and len(self.edited.pieces) <= 1:
            return original
        pieces = self.edited.pieces
        moved = []
        for number, start in original:
            after = bisect_right(pieces, start, key=lambda piece: piece.start)
            piece = pieces[after - 1] if after else None
            if piece is not None and start < piece.start + piece.length:
                at = piece.at + start - piece.start
            else:
                at = pieces[after].at if after < len(pieces) else len(self.text)
            moved.append((number, at))
        return moved


def page_characters(text: str, pages: Sequence[Mapping[str, int]]) -> Pages:
    """Number and first character of each page, from the numbers of bytes that documents keep."""
    if not pages or text.isascii():
        return [(page["number"], page["start"]) for page in pages]
    encoded = text.encode()
    found = []
    behind = at = 0
    for page in pages:
        behind += len(encoded[at : page["start"]].decode(errors="replace"))
        at = page["start"]
        found.append((page["number"], behind))
    return found
