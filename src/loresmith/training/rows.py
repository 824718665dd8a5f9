"""Rows: what a model sees at once, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from loresmith.training.document_books import Shown, SourceBooks

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """One row of a batch, before it is padded.

    Attributes:
        inputs: (n,) ids that the model sees.
        targets: (n,) ids that it should say next.
        weights: fp32 (n,), how much each target counts; zero masks it.
        documents: (n,) number of the document within the row, from 0, where documents must not see one another; None
            where the row is one context.
        lessons: how many of its source's tokens the targets stand for, where they are not the source's own; otherwise
            those with a weight.
    """

    inputs: Ids
    targets: Ids
    weights: NDArray[np.float32]
    documents: Ids | None = None
    lessons: int | None = None

    @property
    def learnt(self) -> int:
        """What the books count."""
        return int(np.count_nonzero(self.weights)) if self.lessons is None else self.lessons


class RowSource(Protocol):
    """Rows that can be asked for by number, in any order and as often as one likes."""

    @property
    def name(self) -> str:
        """What the books call it."""

    def __len__(self) -> int:
        """Rows in an epoch."""

    def row(self, number: int, epoch: int) -> Row:
        """The same whenever it is asked for: whatever is random follows from (seed, purpose, epoch, number)."""

    def books(self, shown: Shown) -> SourceBooks:
        """Where every token of the source goes in a training that shows its rows so often."""


def shifted(ids: NDArray[Any], weights: NDArray[np.float32] | None = None) -> Row:
    """The row that predicts each of the ids (n + 1,) but the first from those before it.

    Args:
        weights: (n,) of the targets; one where left out.
    """
    whole = ids.astype(np.int64)
    counts = np.ones(len(ids) - 1, dtype=np.float32) if weights is None else weights
    return Row(whole[:-1], whole[1:], counts)


def joined(rows: list[Row]) -> Row:
    """One row after the other, as documents that do not see one another; a single one stays as it is."""
    if len(rows) == 1:
        return rows[0]
    return Row(
        inputs=np.concatenate([row.inputs for row in rows]),
        targets=np.concatenate([row.targets for row in rows]),
        weights=np.concatenate([row.weights for row in rows]),
        documents=np.repeat(np.arange(len(rows)), [len(row.inputs) for row in rows]),
        lessons=sum(row.learnt for row in rows),
    )
