"""Rows of whole pieces that do not see one another: best-fit packing.

A piece is a document, or as much of one as a row holds; its targets are its own tokens, the first predicted from the
token before the piece (of a document's first piece: the end-of-document token), so that every token of a document is a
target exactly once. Pieces are packed into rows by `loresmith.data.best_fit`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loresmith.data.best_fit import best_fit
from loresmith.data.shards import TokenShards
from loresmith.errors import UserError
from loresmith.ledger.books import Disposition
from loresmith.training.document_books import Counts, Line, Shown, SourceBooks
from loresmith.training.rows import Ids, Row, joined, shifted


@dataclass(frozen=True)
class Piece:
    """What goes into one row whole.

    Attributes:
        document: number of its document.
        start, tokens: the part of the document that its targets are.
        room: positions that it may take in a row; as many as it has tokens, where nothing is added to them.
        masked: how many of its tokens are no targets.
    """

    document: int
    start: int
    tokens: int
    room: int
    masked: int = 0


class PackedRows:
    """A RowSource of pieces, packed.

    Args:
        name: what the books call it.
        pieces: all of them.
        sequence_length: positions in a row.
        example: the row of a piece by its number and the epoch, of at most its room.
        documents: id and path of each document.
        entered: tokens in the source.
        packing: whether pieces share rows; otherwise each has its own.
        masked_because: why tokens of pieces are no targets.
        settled: what became of tokens that are in no piece.
    """

    def __init__(
        self,
        name: str,
        pieces: Sequence[Piece],
        sequence_length: int,
        example: Callable[[int, int], Row],
        documents: Sequence[tuple[str, str]],
        entered: int,
        packing: bool = True,
        masked_because: str = "",
        settled: Sequence[Line] = (),
    ) -> None:
        self.name = name
        self.pieces = pieces
        self._example = example
        self._documents = documents
        self._entered = entered
        self._masked_because = masked_because
        self._settled = settled
        rooms = np.array([piece.room for piece in pieces], dtype=np.int64)
        self.rows: Sequence[Sequence[int]] = (
            best_fit(rooms, sequence_length) if packing else [[number] for number in range(len(pieces))]
        )
        self.filled = float(rooms.sum()) / max(1, len(self.rows) * sequence_length)

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, number: int, epoch: int) -> Row:
        return joined([self._example(piece, epoch) for piece in self.rows[number]])

    def books(self, shown: Shown) -> SourceBooks:
        reasons = shown.unseen_because()
        counts: Counter[tuple[int, Disposition, str]] = Counter()
        again: Counter[int] = Counter()
        learnt = 0
        for number, row in enumerate(self.rows):
            reason, times = str(reasons[number]), int(shown.learnt[number])
            for piece in (self.pieces[p] for p in row):
                targets = piece.tokens - piece.masked
                again[piece.document] += targets * max(0, times - 1)
                learnt += targets * times
                if reason:
                    counts[piece.document, "dropped", reason] += piece.tokens
                else:
                    counts[piece.document, "kept", ""] += targets
                    counts[piece.document, "masked", self._masked_because] += piece.masked
        lines = [
            Line(self.name, *self._documents[document], what, why, tokens, again[document] if what == "kept" else 0)
            for (document, what, why), tokens in sorted(counts.items())
            if tokens
        ]
        return SourceBooks(self.name, self._entered, [*lines, *self._settled], learnt)


class Turning(Protocol):
    """Learns pieces in another order than they stand in (see `loresmith.training.fim`)."""

    def pieces(self, tokens: Sequence[int], sequence_length: int) -> list[Piece]:
        """The pieces of documents of so many tokens, with room for what turning adds."""

    def turned(self, ids: Ids, number: int, epoch: int) -> tuple[Ids, NDArray[np.float32]] | None:
        """The targets of a piece instead of its tokens, with their weights; None for one that stays as it is."""


def document_rows(
    shards: TokenShards, split: str, sequence_length: int, name: str = "tokens", turning: Turning | None = None
) -> PackedRows:
    """The documents of a split, kept apart."""
    stream = shards.split(split)
    table = stream.documents()
    offsets: Counts = table["offset"].to_numpy()
    lengths: Counts = table["tokens"].to_numpy()
    cutting = cut if turning is None else turning.pieces
    pieces = cutting(lengths.tolist(), sequence_length)
    if not pieces:
        raise UserError(f"the {split} split has no documents", hint="train on more text")

    def example(number: int, epoch: int) -> Row:
        piece = pieces[number]
        start = int(offsets[piece.document]) + piece.start
        turned = turning.turned(stream.read(start, piece.tokens), number, epoch) if turning is not None else None
        if turned is not None:
            targets, weights = turned
            row = shifted(np.concatenate([[shards.end_of_document], targets]), weights)
            return replace(row, lessons=piece.tokens)
        if piece.start:
            return shifted(stream.read(start - 1, piece.tokens + 1))
        return shifted(np.concatenate([[shards.end_of_document], stream.read(start, piece.tokens)]))

    return PackedRows(name, pieces, sequence_length, example, stream.names(), len(stream))


def cut(tokens: Sequence[int], most: int) -> list[Piece]:
    """The pieces of documents of so many tokens, each of at most `most`."""
    return [
        Piece(document, start, min(most, length - start), min(most, length - start))
        for document, length in enumerate(tokens)
        for start in range(0, length, most)
    ]
