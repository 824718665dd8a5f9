"""What carries stages out. A stage is a function over a shard of documents, or a question about rows of all of them.

What comes out is the same whatever carries it out, and with however many workers and however much memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from loresmith.data.engine.rows import Rows

T = TypeVar("T")
R = TypeVar("R")


class Tables(Protocol):
    """Questions about all documents at once, over files of rows (`rows.RowWriter` writes them).

    Documents have numbers that ascend from file to file and within each, and so do the starts of passages within a
    document. Answers come in blocks, of which one is in memory at a time.
    """

    def common_keys(self, files: Sequence[Path], at_least: int) -> NDArray[np.uint64]:
        """Keys that at least so many different documents have, ascending.

        Args:
            files: of `rows.KEYED`.
        """

    def repeated(self, files: Sequence[Path]) -> Iterator[Rows]:
        """Passages whose key stands before, in an earlier document or earlier in the same one.

        Args:
            files: of `rows.PASSAGES`.

        Returns:
            Blocks of `rows.REPEATED`, ascending by document and start.
        """

    def neighbours(self, files: Sequence[Path]) -> Iterator[Rows]:
        """Pairs of documents that share a key. Of all that share one, each is paired with the first and with the one
        before it: a number of pairs that grows with the documents, not with their square.

        Args:
            files: of `rows.KEYED`.

        Returns:
            Blocks of `rows.PAIRS`, ascending by left and right, each pair once; left is the smaller number.
        """

    def shared(self, left: Sequence[Path], right: Sequence[Path]) -> Iterator[Rows]:
        """How many keys a document of the left files has in common with each of higher number in the right files.

        Args:
            left, right: of `rows.KEYED`; a document has a key at most once in each of them. Here alone, their order
                does not matter. All rows on the left of one key are in memory, and are joined with each on the right:
                leave out what too many have (`common_keys`).

        Returns:
            Blocks of `rows.SHARED`, ascending by left and right.
        """


class Engine(Protocol):
    """Carries out stages. A context manager: at its end no process is left.

    Attributes:
        workers: processes at once.
        memory: bytes that all of them may take together, with the one that started them.
        tables: the relational parts.
    """

    @property
    def workers(self) -> int: ...

    @property
    def memory(self) -> int: ...

    @property
    def tables(self) -> Tables: ...

    def map(
        self, function: Callable[[T], R], items: Sequence[T], tick: Callable[[], None] = lambda: None
    ) -> Iterator[R]:
        """Carry out a function for each item; the results in the order of the items.

        Args:
            function: of a module, so that another process finds it by its name; `functools.partial` of one is fine.
            items: small: what they name is read by the function.
            tick: called several times a second while nothing is finished; it may raise to leave.

        Raises:
            Failure: a worker died; it says over which item.
            Exception: what the function raised for an item, of the earliest for which it did.
        """

    def close(self) -> None:
        """End all workers."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
