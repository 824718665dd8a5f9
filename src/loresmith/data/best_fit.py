"""Best-fit-decreasing: pieces of text into rows of a fixed length, with little left empty and no piece cut.

Ding et al., Fewer Truncations Improve Language Modeling (2024): the longest piece first, each into the row in which the
least room is left over, or into a new one. Here all pieces of one length are placed at once: the row that fits best
takes as many of them as it can hold, since what it has left fits better still, and so do all rows with as much room.
The work is then bounded by the pairs of a length and a room that meet, not by pieces, and the result is what placing
them one by one gives.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

WINDOW = 1 << 22
"""Pieces that are packed together, at most: about 200 MB of working memory."""


@dataclass(frozen=True)
class Rows(Sequence[list[int]]):
    """Which pieces lie in each row, longest first: `rows[number]` is a list of the numbers of pieces.

    Attributes:
        pieces: int64, the pieces of the first row, then those of the second ...
        borders: int64, one more than there are rows: row r has the pieces borders[r] .. borders[r + 1] - 1.
        filled: the lengths of all pieces together.
        capacity: of a row.
    """

    pieces: NDArray[np.int64]
    borders: NDArray[np.int64]
    filled: int
    capacity: int

    def __len__(self) -> int:
        return len(self.borders) - 1

    @overload
    def __getitem__(self, number: int) -> list[int]: ...
    @overload
    def __getitem__(self, number: slice) -> list[list[int]]: ...
    def __getitem__(self, number: int | slice) -> list[int] | list[list[int]]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(f"row {number} of {len(self)}")
        row = number % len(self)
        found: list[int] = self.pieces[self.borders[row] : self.borders[row + 1]].tolist()
        return found

    @property
    def efficiency(self) -> float:
        """The share of the rows that is filled; 1 where there are none."""
        return self.filled / (len(self) * self.capacity) if len(self) else 1.0


def best_fit(lengths: ArrayLike, capacity: int, window: int = WINDOW) -> Rows:
    """Pack pieces into as few rows as best-fit-decreasing finds.

    Any two rows (of one window) hold more than `capacity` together, so that there are fewer than twice as many as there
    must be; on lengths as texts have them nearly all rows are full. The same lengths give the same rows.

    Args:
        lengths: tokens of each piece, from 1 to `capacity`.
        capacity: tokens of a row.
        window: pieces that are packed together. More than that are dealt out to as many windows as they need, every
            n-th to one, so that each window has pieces from everywhere.

    Raises:
        ValueError: a piece that is empty, or longer than a row.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if sizes.size and not (sizes.min() >= 1 and sizes.max() <= capacity):
        raise ValueError(f"pieces of {sizes.min()} to {sizes.max()} tokens do not fit rows of 1 to {capacity}")
    windows = max(1, -(-sizes.size // window))
    packed = [_pack(sizes[first::windows], capacity) for first in range(windows)]
    pieces = [order * windows + first for first, (order, _) in enumerate(packed)]
    counts = np.concatenate([counts for _, counts in packed])
    return Rows(np.concatenate(pieces), np.concatenate([[0], np.cumsum(counts)]), int(sizes.sum()), capacity)


def _pack(sizes: NDArray[np.int64], capacity: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pieces in the order of their rows, and how many each row has."""
    order = np.argsort(-sizes, kind="stable")
    row_of = np.empty(sizes.size, dtype=np.int64)  # of the pieces in `order`
    room = _Room()
    values, counts = np.unique(sizes, return_counts=True)
    done = 0
    for length, count in zip(values[::-1].tolist(), counts[::-1].tolist(), strict=True):
        end = done + count
        while done < end:
            done += room.place(row_of[done:end], length, capacity)
    by_row = np.argsort(row_of, kind="stable")
    return order[by_row], np.bincount(row_of, minlength=room.rows)


class _Room:
    """Rows by the room that they have left.

    Attributes:
        rows: how many there are.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._rooms: list[int] = []  # in ascending order, those that some row has
        self._rows_with: dict[int, list[NDArray[np.int64]]] = {}

    def place(self, row_of: NDArray[np.int64], length: int, capacity: int) -> int:
        """Put pieces of one length into the rows that they fit best, or into new ones.

        Args:
            row_of: one place a piece, for the number of its row; filled from the beginning.

        Returns:
            How many pieces were placed: all that fit rows with this room.
        """
        at = bisect_left(self._rooms, length)
        room = self._rooms[at] if at < len(self._rooms) else capacity
        each = room // length
        needed = -(-row_of.size // each)
        rows = self._take(at, needed) if at < len(self._rooms) else self._new(needed)
        placed = min(row_of.size, rows.size * each)
        row_of[:placed] = np.repeat(rows, each)[:placed]
        last = placed - (rows.size - 1) * each
        self._give(room - each * length, rows[:-1])
        self._give(room - last * length, rows[-1:])
        return placed

    def _new(self, count: int) -> NDArray[np.int64]:
        rows = np.arange(self.rows, self.rows + count, dtype=np.int64)
        self.rows += count
        return rows

    def _take(self, at: int, count: int) -> NDArray[np.int64]:
        """Up to `count` rows of those with the at-th room."""
        room = self._rooms[at]
        parts = self._rows_with[room]
        rows = np.concatenate(parts) if len(parts) > 1 else parts[0]
        if rows.size > count:
            self._rows_with[room] = [rows[count:]]
        else:
            del self._rooms[at], self._rows_with[room]
        return rows[:count]

    def _give(self, room: int, rows: NDArray[np.int64]) -> None:
        if rows.size == 0 or room == 0:
            return
        if room in self._rows_with:
            self._rows_with[room].append(rows)
        else:
            insort(self._rooms, room)
            self._rows_with[room] = [rows]
