"""Rows of a token stream as it lies: plain pre-training.

A stream of n tokens is cut into (n - 1) // T rows; row i has the inputs i T .. i T + T - 1 and the targets one further,
so that every token but the first and a tail is a target exactly once an epoch. Documents follow one another in the
stream, an end-of-document token between them, and a row may hold the end of one and the beginning of the next, which
sees it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loresmith.data.shards import TokenStream
from loresmith.errors import UserError
from loresmith.ledger.books import Disposition
from loresmith.training.document_books import Counts, Line, Shown, SourceBooks
from loresmith.training.rows import Row, shifted

FIRST = "nothing comes before the first token of a split"
TAIL = "a tail shorter than a row"


@dataclass(frozen=True)
class StreamRows:
    """A RowSource over one split of a `tokens` asset.

    Attributes:
        stream: the tokens.
        sequence_length: targets in a row (T).
        name: what the books call it.
    """

    stream: TokenStream
    sequence_length: int
    name: str = "tokens"

    def __post_init__(self) -> None:
        if len(self) < 1:
            raise UserError(
                f"sequence_length {self.sequence_length} is longer than the data: "
                f"the {self.stream.name} split has {len(self.stream)} tokens",
                where=str(self.stream.directory),
                hint="lower sequence_length, or train on more text",
            )

    def __len__(self) -> int:
        return (len(self.stream) - 1) // self.sequence_length

    def row(self, number: int, epoch: int) -> Row:
        return shifted(self.stream.read(number * self.sequence_length, self.sequence_length + 1))

    def books(self, shown: Shown) -> SourceBooks:
        learnt = int(shown.learnt.sum()) * self.sequence_length
        return SourceBooks(self.name, len(self.stream), list(self._lines(shown)), learnt)

    def _lines(self, shown: Shown) -> Iterator[Line]:
        """A document's tokens are targets of consecutive rows, so counting them is a difference of two running sums."""
        table = self.stream.documents()
        starts = table["offset"].to_numpy()
        ends = starts + table["tokens"].to_numpy()
        reasons = shown.unseen_because()
        of_reason = {str(reason): (reasons == reason).astype(np.int64) for reason in np.unique(reasons)}
        counts = {reason: self._between(per_row, starts, ends) for reason, per_row in of_reason.items()}
        lessons = self._between(shown.learnt, starts, ends)
        covered = len(self) * self.sequence_length
        first = ((starts <= 0) & (ends > 0)).astype(np.int64)
        tail = np.clip(ends, covered + 1, None) - np.clip(starts, covered + 1, None)
        for n, (document, path) in enumerate(self.stream.names()):
            parts: list[tuple[Disposition, str, int, int]] = [
                ("dropped" if reason else "kept", reason, int(of_documents[n]), 0)
                for reason, of_documents in counts.items()
            ]
            parts += [("dropped", FIRST, int(first[n]), 0), ("dropped", TAIL, int(tail[n]), 0)]
            for disposition, reason, tokens, _ in parts:
                again = int(lessons[n]) - tokens if disposition == "kept" else 0
                if tokens:
                    yield Line(self.name, document, path, disposition, reason, tokens, again)

    def _between(self, per_row: Counts, starts: Counts, ends: Counts) -> Counts:
        """Sums of a count per row over the targets starts .. ends - 1, as they lie in the stream."""
        return self._up_to(per_row, ends) - self._up_to(per_row, starts)

    def _up_to(self, per_row: Counts, position: Counts) -> NDArray[np.int64]:
        """The same over the targets before a position; token p is the target p - 1 in the order of rows."""
        T = self.sequence_length
        targets = np.clip(position - 1, 0, len(self) * T)
        whole, part = np.divmod(targets, T)
        sums = np.concatenate([[0], np.cumsum(per_row)])
        padded = np.concatenate([per_row, [0]])
        result: NDArray[np.int64] = sums[whole] * T + padded[whole] * part
        return result
