"""Batches of rows, addressable by step: nothing has to be replayed to begin in the middle.

Step s trains on the rows s R .. s R + R - 1 of one endless order, R rows a step. With a share of another source mixed
in, that source's rows stand evenly among the others; each source goes through its own rows in the order that
(seed, epoch) decide, or as they lie. Of several processes each takes its part of the R rows, so that how many there are
changes nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from loresmith.data.order import GivenOrder, Order, SampleOrder
from loresmith.errors import UserError
from loresmith.training.document_books import Shown
from loresmith.training.objective import Batch, MicroBatch
from loresmith.training.ranks import Ranks
from loresmith.training.rows import Row, RowSource


@dataclass(frozen=True)
class RowBatches:
    """The batches of one training.

    Attributes:
        source: the rows.
        sequence_length: positions in a row, at most.
        batch_tokens: positions in a step, a multiple of `sequence_length`.
        micro_batch_tokens: positions that go through the model at once; rounded down to whole rows, at least one.
        seed: decides the order.
        replay: another source that is mixed in, or None.
        replay_share: its share of the rows.
        ranks: the processes that train together, and which one this is.
        where: the folder that the rows come from, for messages.
        as_given: whether the rows of `source` come in every epoch as they lie; those of `replay` never do.
    """

    source: RowSource
    sequence_length: int
    batch_tokens: int
    micro_batch_tokens: int
    seed: int
    replay: RowSource | None = None
    replay_share: float = 0.0
    ranks: Ranks = field(default_factory=Ranks.joined)
    where: Path | None = None
    as_given: bool = False

    def __post_init__(self) -> None:
        if self.batch_tokens % self.sequence_length:
            raise UserError(
                f"batch_tokens {self.batch_tokens} is not a multiple of sequence_length {self.sequence_length}"
            )
        if len(self.source) < self.rows:
            raise UserError(
                f"{self.source.name} has {len(self.source)} rows of {self.sequence_length} tokens, fewer than one "
                f"batch of {self.batch_tokens} tokens",
                where=str(self.where) if self.where else None,
                hint="lower batch_tokens, or train on more text",
            )

    @property
    def rows(self) -> int:
        """Rows in a step."""
        return self.batch_tokens // self.sequence_length

    @property
    def sources(self) -> tuple[RowSource, ...]:
        return (self.source,) if self.replay is None else (self.source, self.replay)

    def batch(self, step: int, device: torch.device | str = "cpu") -> Batch:
        """This process's part of the batch of a step, counted from 0."""
        each = -(-self.rows // self.ranks.world)
        first = self.ranks.rank * each
        numbers = range(step * self.rows + first, step * self.rows + min(first + each, self.rows))
        rows = [self._row(number) for number in numbers]
        learnt = Counter({source.name: 0 for source in self.sources})
        for source, row in rows:
            learnt[source.name] += row.learnt
        at_once = max(1, self.micro_batch_tokens // self.sequence_length)
        parts = [
            _micro_batch([row for _, row in rows[start : start + at_once]], first + start, self.sequence_length, device)
            for start in range(0, each, at_once)
        ]
        return Batch(tuple(parts), self.batch_tokens, learnt)

    def shown(self, steps: int, skipped: Sequence[int] = ()) -> list[Shown]:
        """How often each row of each source is shown by a training of so many steps, of which some were skipped."""
        counts = [Shown(np.zeros(len(s), dtype=np.int64), np.zeros(len(s), dtype=np.int64)) for s in self.sources]
        for source, order, shown in zip(self.sources, self._orders, counts, strict=True):
            end = self._before(steps * self.rows, source)
            epochs, rest = divmod(end, len(source))
            shown.learnt[:] = epochs
            np.add.at(shown.learnt, order.take(epochs * len(source), rest), 1)
            for step in skipped:
                begin = self._before(step * self.rows, source)
                rows = order.take(begin, self._before((step + 1) * self.rows, source) - begin)
                np.add.at(shown.learnt, rows, -1)
                np.add.at(shown.skipped, rows, 1)
        return counts

    def _row(self, number: int) -> tuple[RowSource, Row]:
        """The row at a place of the endless order, and where it is from."""
        replayed = self.replay is not None and self._replayed(number + 1) > self._replayed(number)
        source, order = (self.sources[-1], self._orders[-1]) if replayed else (self.source, self._orders[0])
        epoch, place = order.locate(self._before(number, source))
        return source, source.row(order.at(epoch, place), epoch)

    def _before(self, number: int, source: RowSource) -> int:
        """How many of the rows before a place of the endless order are a source's."""
        return self._replayed(number) if source is self.replay else number - self._replayed(number)

    def _replayed(self, number: int) -> int:
        return int(number * Fraction(str(self.replay_share))) if self.replay is not None else 0

    @property
    def _orders(self) -> list[Order]:
        first = GivenOrder(len(self.source)) if self.as_given else SampleOrder(len(self.source), self.seed)
        return [first, *(SampleOrder(len(source), self.seed) for source in self.sources[1:])]


def _micro_batch(rows: list[Row], first_row: int, window: int, device: torch.device | str) -> MicroBatch:
    """Rows, padded to the longest with positions of weight zero that are a document of their own.

    Where there is no row, because another process has one more, there is one that counts for nothing.
    """
    if not rows:
        rows = [Row(np.zeros(8, np.int64), np.zeros(8, np.int64), np.zeros(8, np.float32))]
    length = max(len(row.inputs) for row in rows)
    apart = any(row.documents is not None for row in rows)

    def padded(values: Sequence[np.ndarray], dtype: torch.dtype, fill: int) -> Tensor:
        whole = torch.full((len(values), length), fill, dtype=dtype)
        for line, value in zip(whole, values, strict=True):
            line[: len(value)] = torch.from_numpy(value)
        return whole.to(device)

    def documents_of(row: Row) -> np.ndarray:
        return row.documents if row.documents is not None else np.zeros(len(row.inputs), dtype=np.int64)

    return MicroBatch(
        inputs=padded([row.inputs for row in rows], torch.int64, 0),
        targets=padded([row.targets for row in rows], torch.int64, 0),
        weights=padded([row.weights for row in rows], torch.float32, 0),
        documents=padded([documents_of(row) for row in rows], torch.int64, length) if apart else None,
        first_row=first_row,
        window=window,
    )
