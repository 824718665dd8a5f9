"""Where every document stands in the corpus: what is held out, as it comes, and then what was drawn, in its order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loresmith.data.engine.finished import once
from loresmith.data.engine.rows import Rows
from loresmith.data.engine.sorting import Sorting, read_rows_of, write_rows
from loresmith.data.mixture.amounts import Supply, amounts
from loresmith.data.mixture.drawing import DRAWABLE, DRAWN, chances, draw, interleaved
from loresmith.data.mixture.joining import JOINED
from loresmith.data.mixture.settings import MixtureRules
from loresmith.data.mixture.source_shares import Sums, said_of_sources
from loresmith.data.shards import SPLITS
from loresmith.errors import UserError

STANDING = np.dtype([("key", np.uint64), ("slot", np.uint64), ("size", np.int64), ("repeat", np.int32)])
"""A document for each time that it is in the corpus: its number (`key`), its place among all of the corpus, bytes of
text, and how often it was drawn before."""

_BY_DOCUMENT, _SLOTS, _SAID = "by-document.rows", "slots.rows", "said.json"


class Standing:
    """A folder that says where documents stand."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, first: int, documents: int) -> Rows:
        """Where some documents stand, by document."""
        path = self._folder / _BY_DOCUMENT
        rows = np.memmap(path, dtype=STANDING, mode="r").view(np.ndarray)
        low, high = _between(rows, first), _between(rows, first + documents)
        return np.concatenate([np.empty(0, dtype=STANDING), *read_rows_of(path, STANDING, low, high)])

    def sizes(self, first: int = 0, after: int | None = None) -> Iterator[NDArray[np.int64]]:
        """Bytes of what stands from one place to another, in the order of the places."""
        for rows in read_rows_of(self._folder / _SLOTS, _SIZES, first, after):
            yield rows["size"]

    def said(self) -> dict[str, Any]:
        """Of the sources, and of the splits."""
        said: dict[str, Any] = json.loads((self._folder / _SAID).read_text())
        return said


_SIZES = np.dtype([("size", np.int64)])


def stand(joined: Path, rules: MixtureRules, sorting: Sorting, folder: Path, tick: Callable[[], None]) -> Standing:
    """Draw, and say where each document stands.

    Args:
        joined: a file of `JOINED`.
        folder: made for the answer.

    Raises:
        UserError: a source is empty, or nothing is drawn.
    """

    def make(made: Path) -> None:
        _Placing(joined, rules, sorting, made, tick).make()

    return Standing(once(folder, make))


class _Placing:
    def __init__(
        self, joined: Path, rules: MixtureRules, sorting: Sorting, folder: Path, tick: Callable[[], None]
    ) -> None:
        self._joined = joined
        self._rules = rules
        self._sorting = sorting
        self._folder = folder
        self._tick = tick
        self._held_out = 0

    def make(self) -> None:
        sums = Sums(len(self._rules.sources), len(self._rules.stages))
        for _, rows in self._blocks():
            sums.add_available(rows)
        names = [source.name for source in self._rules.sources]
        supplies = {
            source.name: Supply(int(sums.available_bytes[number, 0]), source.epochs_cap)
            for number, source in enumerate(self._rules.sources)
        }
        wanted = amounts(supplies, self._rules.stages, self._rules.target_bytes)
        drawn, placed = self._folder / "drawn.rows", self._folder / "placed.rows"
        if not write_rows(drawn, self._drawn(names, wanted)):
            raise UserError("not one document is drawn", hint="raise target_bytes, or the weights")
        write_rows(placed, interleaved(lambda: read_rows_of(drawn, DRAWN), len(wanted), self._sorting))
        for rows in read_rows_of(placed, DRAWN):
            sums.add_drawn(rows)
        drawn.unlink()
        write_rows(self._folder / _SLOTS, (_sized(rows) for rows in self._in_slots(placed)))
        documents = self._joined.stat().st_size // JOINED.itemsize
        by_document = self._sorting.by_key(self._in_slots(placed), STANDING, max(1, documents.bit_length()))
        write_rows(self._folder / _BY_DOCUMENT, by_document)
        placed.unlink()
        said = {"sources": said_of_sources(sums, self._rules), "groups": self._groups()}
        (self._folder / _SAID).write_text(json.dumps(said))

    def _blocks(self) -> Iterator[tuple[int, Rows]]:
        first = 0
        for rows in read_rows_of(self._joined, JOINED):
            self._tick()
            yield first, rows
            first += len(rows)

    def _drawn(self, names: Sequence[str], wanted: Sequence[Mapping[str, float]]) -> Iterator[Rows]:
        for number, name in enumerate(names):

            def drawable(number: int = number) -> Iterator[Rows]:
                for first, rows in self._blocks():
                    mine = np.flatnonzero((rows["source"] == number) & (rows["side"] == 0))
                    found = np.zeros(len(mine), dtype=DRAWABLE)
                    found["document"] = first + mine
                    found["chance"] = chances(rows["id"][mine], self._rules.seed)
                    for column in ("size", "value"):
                        found[column] = rows[column][mine]
                    yield found

            amount = [stage[name] for stage in wanted]
            for rows in draw(drawable, amount, self._sorting, bool(self._rules.by)):
                rows["source"] = number
                yield rows

    def _in_slots(self, placed: Path) -> Iterator[Rows]:
        """What is in the corpus, in the order of the places."""
        slot = 0
        for first, rows in self._blocks():
            mine = np.flatnonzero((rows["source"] >= 0) & (rows["side"] > 0))
            yield _standing(first + mine, rows["size"][mine], np.zeros(len(mine)), slot)
            slot += len(mine)
        for rows in read_rows_of(placed, DRAWN):
            yield _standing(rows["document"], rows["size"], rows["repeat"], slot)
            slot += len(rows)

    def _groups(self) -> dict[str, int]:
        """How many groups each split has; a group is on one side."""
        return {
            split: sum(len(some) for some in self._sorting.different(self._groups_on(side)))
            for side, split in enumerate(SPLITS)
        }

    def _groups_on(self, side: int) -> Iterator[NDArray[np.uint64]]:
        standing = Standing(self._folder)
        for first, rows in self._blocks():
            is_there = np.zeros(len(rows), dtype=bool)
            is_there[standing.of(first, len(rows))["key"].astype(np.int64) - first] = True
            yield rows["group"][is_there & (rows["side"] == side)]


def _standing(documents: NDArray[Any], sizes: NDArray[Any], repeats: NDArray[Any], slot: int) -> Rows:
    rows = np.zeros(len(documents), dtype=STANDING)
    rows["key"], rows["size"], rows["repeat"] = documents, sizes, repeats
    rows["slot"] = np.arange(slot, slot + len(documents), dtype=np.uint64)
    return rows


def _sized(rows: Rows) -> Rows:
    sizes = np.empty(len(rows), dtype=_SIZES)
    sizes["size"] = rows["size"]
    return sizes


def _between(rows: Rows, document: int) -> int:
    """The place of the first row of a document, or of one behind it."""
    low, high = 0, len(rows)
    while low < high:
        middle = (low + high) // 2
        if int(rows[middle]["key"]) < document:
            low = middle + 1
        else:
            high = middle
    return low
