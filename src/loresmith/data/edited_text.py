"""A text that rules have changed, and where each part of it stood before."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """A stretch of a text and what takes its place.

    Attributes:
        start, end: the characters start .. end - 1 of the text that is changed.
        text: what takes their place; empty where they are cut out.
        rule: which rule wants it.
    """

    start: int
    end: int
    text: str
    rule: str


@dataclass(frozen=True)
class Piece:
    """A stretch of an edited text that is as it was.

    Attributes:
        at: its first character in the edited text.
        start: its first character in the original.
        length: in characters.
    """

    at: int
    start: int
    length: int


@dataclass(frozen=True)
class EditedText:
    """A text after some edits.

    Attributes:
        text: as it is now.
        pieces: what is left of the original, in order; what lies between them was put there by an edit.
    """

    text: str
    pieces: tuple[Piece, ...]

    @classmethod
    def of(cls, text: str) -> EditedText:
        """A text that nobody has edited."""
        return cls(text, (Piece(0, 0, len(text)),) if text else ())

    def apply(self, edits: Sequence[Edit]) -> EditedText:
        """The text after more edits, which are in order and do not overlap.

        Raises:
            ValueError: they are not, or lie outside the text.
        """
        if not edits:
            return self
        parts: list[str] = []
        pieces: list[Piece] = []
        done = length = 0
        for edit in (*edits, Edit(len(self.text), len(self.text), "", "")):
            if not done <= edit.start <= edit.end <= len(self.text):
                raise ValueError(f"the edit of characters {edit.start} to {edit.end} overlaps another or lies outside")
            pieces += self._kept(done, edit.start, length)
            parts += (self.text[done : edit.start], edit.text)
            length += edit.start - done + len(edit.text)
            done = edit.end
        return EditedText("".join(parts), tuple(_joined(pieces)))

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the original that characters start .. end - 1 came of.

        What an edit put there came of what stood between its neighbours.
        """
        found = self._touched(start, end)
        if found:
            first, last = found[0], found[-1]
            return (
                first.start + max(0, start - first.at),
                last.start + min(last.length, end - last.at),
            )
        after = bisect_right(self.pieces, start, key=lambda piece: piece.at)
        before = self.pieces[after - 1] if after else Piece(0, 0, 0)
        left = before.start + before.length
        return left, self.pieces[after].start if after < len(self.pieces) else left

    def left_of_original(self, start: int, end: int) -> list[str]:
        """What of characters start .. end - 1 stood in the original."""
        return [
            self.text[max(start, piece.at) : min(end, piece.at + piece.length)] for piece in self._touched(start, end)
        ]

    def _touched(self, start: int, end: int) -> list[Piece]:
        """The pieces that have some of characters start .. end - 1."""
        first = max(0, bisect_right(self.pieces, start, key=lambda piece: piece.at) - 1)
        last = bisect_left(self.pieces, end, key=lambda piece: piece.at)
        return [piece for piece in self.pieces[first:last] if piece.at + piece.length > start]

    def _kept(self, start: int, end: int, at: int) -> list[Piece]:
        """The pieces of characters start .. end - 1, which come to stand at `at`."""
        kept = []
        first = max(0, bisect_right(self.pieces, start, key=lambda piece: piece.at) - 1)
        for piece in self.pieces[first:]:
            if piece.at >= end:
                break
            low, high = max(start, piece.at), min(end, piece.at + piece.length)
            if low < high:
                kept.append(Piece(at + low - start, piece.start + low - piece.at, high - low))
        return kept


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """The same with neighbours made one that follow one another in both texts."""
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last and last.at + last.length == piece.at and last.start + last.length == piece.start:
            joined[-1] = Piece(last.at, last.start, last.length + piece.length)
        else:
            joined.append(piece)
    return joined
