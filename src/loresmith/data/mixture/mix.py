"""Corpora to one corpus in which each source has its share, and what is held out stays so.

Only what is to be trained on is mixed. Validation and test are passed through once, so that measures mean the same
whatever the weights are.

Every shard of documents is looked at, sketched and dealt out by itself, every file of the corpus is written by itself,
and what is asked of all documents at once is answered from tables: a mixing that was killed goes on after the last of
these that was finished, and no number of documents is too large for the memory.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from loresmith.data.curation.outcome import added_up
from loresmith.data.engine.engine import Engine, R, T
from loresmith.data.engine.gathering import batches_of, empty, place, write_together
from loresmith.data.engine.sorting import Sorting
from loresmith.data.looking import EDITS
from loresmith.data.media_left_behind import leave_media
from loresmith.data.mixture.dealing import BOOKS, Dealing, Files, deal, dealt_to
from loresmith.data.mixture.edits import Kept, elsewhere, keep_edits
from loresmith.data.mixture.joining import join_groups, sketch
from loresmith.data.mixture.settings import MixtureRules
from loresmith.data.mixture.standing import stand
from loresmith.data.mixture.survey import parts_of, require_names, survey
from loresmith.data.mixture.writing import MixedFile, parted, write_file
from loresmith.data.observer import Observer, safe_point
from loresmith.data.record_books import BOOK_COLUMNS
from loresmith.data.shards import SPLITS
from loresmith.errors import UserError
from loresmith.ledger.books import Books

FILE_BYTES = 1 << 30
"""Text of a file of the corpus."""

_SHARE = 16
"""Texts that a worker puts in order take one part in so many of its memory."""

_FEWEST, _MOST = 4 << 20, 32 << 20
"""Bytes of text that are put in order at a time."""


@dataclass
class Mixed:
    """What came of it.

    Attributes:
        splits: documents, bytes and groups of each split, a document counted as often as it is there.
        sources: for each source, what it had, what was wanted and drawn of it, and what it holds out.
        moved: documents that changed sides, since they are near-identical to held-out ones of another corpus.
        near: how many documents are near-identical to one of another group.
        languages: bytes by language.
    """

    books: Books
    splits: dict[str, dict[str, int]]
    sources: dict[str, dict[str, Any]]
    moved: int
    near: int
    labels: set[str] = field(default_factory=set)
    languages: Counter[str] = field(default_factory=Counter)


def mix_corpora(
    corpora: Sequence[Path],
    target: Path,
    rules: MixtureRules,
    work: Path,
    engine: Engine,
    observer: Observer,
    file_bytes: int = FILE_BYTES,
) -> Mixed:
    """Make a corpus of several, or of parts of one.

    Args:
        corpora: `corpus` assets, in the order of `rules.corpora`.
        target: gets documents-*.parquet (`dealing.MIXED_COLUMNS`), books.parquet, and edits.parquet where the corpora
            have it. What is in it before is removed.
        work: a folder for what is in between; what is found in it was made by the same mixing before it was stopped.
        file_bytes: of text in a file of the corpus.

    Raises:
        UserError: a source is empty, or a document is in two of them.
    """
    finished = work.with_name(f"{work.name}.finished")
    shutil.rmtree(finished, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    mixed = _Mixing(corpora, rules, work, engine, observer).carry_out(target, file_bytes)
    work.rename(finished)  # at once, so that no half of it is ever taken for whole
    shutil.rmtree(finished)
    return mixed


class _Mixing:
    """The stages, one after the other."""

    def __init__(
        self, corpora: Sequence[Path], rules: MixtureRules, work: Path, engine: Engine, observer: Observer
    ) -> None:
        self._corpora = corpora
        self._rules = rules
        self._work = work
        self._engine = engine
        self._observer = observer
        self._several = len(corpora) > 1
        self._parts = parts_of(corpora, rules, work)
        self._documents = sum(part.shard.rows for part in self._parts)
        self._sorting = Sorting(work / "sorting", engine.memory // 4)

    def carry_out(self, target: Path, file_bytes: int) -> Mixed:
        if not self._parts:
            raise UserError("there is not one document in these corpora", where="corpora")
        self._over_documents(survey, "looked at")
        require_names(self._parts)
        if self._several:
            self._over_documents(sketch, "compared")
        joined, near, moved = join_groups(self._parts, self._engine, self._work / "joined", self._tick)
        standing = stand(joined, self._rules, self._sorting, self._work / "standing", self._tick)
        files = Files(tuple(parted(standing.sizes(), file_bytes)))
        memory = self._engine.memory // (self._engine.workers + 1) // _SHARE
        dealing = Dealing(tuple(self._parts), joined, self._work / "standing", files, min(_MOST, max(_FEWEST, memory)))
        books = self._over_documents(partial(deal, dealing=dealing), "dealt out")
        write = partial(write_file, dealing=dealing, folder=self._work / "written")
        written = list(self._over(write, range(len(files)), "files written"))
        edits = self._edits(joined)
        media = self._work / "media"
        books.append(leave_media(self._corpora, media))
        empty(target)
        for number, file in enumerate(written):
            place(file.path, target / f"documents-{number:05d}.parquet")
        told = [*map(dealt_to, self._parts), media]
        write_together(target / BOOKS, BOOK_COLUMNS, batches_of(folder / BOOKS for folder in told))
        for table in edits:
            place(table, target / EDITS)
        said = standing.said()
        mixed = Mixed(added_up(books), _splits(written, said["groups"]), said["sources"], moved, near)
        for each in written:
            mixed.labels.update(each.labels)
            mixed.languages.update(each.languages)
        return mixed

    def _edits(self, joined: Path) -> list[Path]:
        corpora = elsewhere(self._parts, joined, self._work / "elsewhere", self._sorting)
        kept = [Kept(corpora, self._work / "edits")] if corpora else []
        return list(self._over(keep_edits, kept, "tables of edits"))

    def _over_documents(self, function: Callable[[Any], R], unit: str) -> list[R]:
        """Carry a stage out over all shards."""
        found = []
        done = 0
        for part, result in zip(self._parts, self._engine.map(function, self._parts, self._tick), strict=True):
            done += part.shard.rows
            safe_point(self._observer, done, self._documents, f"documents {unit}")
            found.append(result)
        return found

    def _over(self, function: Callable[[T], R], items: Sequence[T], unit: str) -> Iterator[R]:
        for done, result in enumerate(self._engine.map(function, items, self._tick), 1):
            safe_point(self._observer, done, len(items), unit)
            yield result

    def _tick(self) -> None:
        if self._observer.stop_requested():
            self._observer.stopped()


def _splits(written: Sequence[MixedFile], groups: dict[str, int]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for file in written:
        for split, some in file.splits.items():
            counts[split].update(some)
    return {
        split: {"documents": some["documents"], "bytes": some["bytes"], "groups": groups[split]}
        for split, some in counts.items()
    }
