"""Documents to a corpus: rules look at every document, repetition is found among all of them, one decision says what
becomes of each, and near-identical documents stay on one side of the split between training and evaluation.

Every stage goes through the documents shard by shard, and what it made of a shard stands in a folder of its own: a
curation that was killed goes on after the last shard that was finished. Nothing but small numbers about documents is in
memory for all of them at once: about 180 bytes a document, of which 64 are in files mapped into it.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loresmith.data.curation.curation_rules import CurationRules, Unit
from loresmith.data.curation.decision import Decisions
from loresmith.data.curation.grouping import Groups, bytes_of, place
from loresmith.data.curation.outcome import added_up, put_together, write_decisions, write_outcome
from loresmith.data.curation.stages import (
    LINES,
    PASSAGE_ROWS,
    Part,
    count_lines,
    cut_repeated,
    list_passages,
    prepare,
    signs,
    sketch,
)
from loresmith.data.documents import DOCUMENT_COLUMNS
from loresmith.data.duplicates.clusters import Clusters
from loresmith.data.duplicates.containment import contained_documents
from loresmith.data.duplicates.near_duplicates import near_duplicates
from loresmith.data.duplicates.sketches import Sketches
from loresmith.data.engine.engine import Engine
from loresmith.data.engine.rows import REPEATED, write_found
from loresmith.data.engine.shards import Shard, require_columns, shards
from loresmith.data.observer import Observer, safe_point
from loresmith.errors import UserError
from loresmith.ledger.books import Books

SHARD_BYTES = 32 << 20
"""Text of a shard. It decides how the corpus is divided into files, and so does not depend on the machine."""

T = TypeVar("T")


@dataclass
class Curated:
    """What came of it.

    Attributes:
        splits: documents, bytes and groups of each split.
        duplicates: documents that are `exact` copies, `near`-identical to one that stays for them or would, and
            `contained` in another.
        moved: the groups that changed sides so that no split is empty.
        labels: all that the corpus carries.
        findings: how many of each kind point at a person or open a door, in the documents as they were read.
        cut: how many repeated passages were cut out, by unit.
        boilerplate: how many different lines are boilerplate.
        languages: bytes of documents that are kept, by language.
        profiles: documents, by the profile they are held to.
        media: documents that are kept without text, by media type.
    """

    books: Books
    splits: dict[str, dict[str, int]]
    duplicates: dict[str, int]
    moved: Mapping[str, str]
    labels: set[str]
    findings: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    boilerplate: int = 0
    languages: Counter[str] = field(default_factory=Counter)
    profiles: Counter[str] = field(default_factory=Counter)
    media: Counter[str] = field(default_factory=Counter)


def curate(
    documents: Path,
    corpus: Path,
    rules: CurationRules,
    work: Path,
    engine: Engine,
    observer: Observer,
    judge: Path | None = None,
) -> Curated:
    """Make a corpus.

    A document that is there more than once stays under its first path, on the terms of all; of a near-identical group,
    if only one is wanted, the longest stays (then the first).

    Args:
        documents: a `documents` asset.
        corpus: empty folder; gets documents-*.parquet (`CORPUS_COLUMNS`), books.parquet, scores.parquet
            (`SCORE_COLUMNS`), where texts were edited, edits.parquet (`EDIT_COLUMNS`), and where there are media
            documents, media-*.parquet (`DOCUMENT_COLUMNS`).
        work: a folder for what is in between; what is found in it was made by the same curation before it was stopped.
        judge: a `model` asset, for the score `bits_per_byte`; None: documents do not have it.

    Raises:
        UserError: nothing is left, or there are fewer groups than splits.
    """
    require_columns(documents, DOCUMENT_COLUMNS.names)
    curation = _Curation(rules, work, engine, observer, shards(documents, SHARD_BYTES), judge)
    return curation.carry_out(corpus)


class _Curation:
    """The stages, one after the other."""

    def __init__(
        self,
        rules: CurationRules,
        work: Path,
        engine: Engine,
        observer: Observer,
        found: Sequence[Shard],
        judge: Path | None,
    ) -> None:
        self._judge = judge
        self._rules = rules
        self._work = work
        self._engine = engine
        self._observer = observer
        self._parts = [Part(shard, rules, Path()) for shard in found]
        self._documents = sum(shard.rows for shard in found)
        self._near = self._contained = 0
        self._owners: NDArray[np.integer[Any]] = np.empty(0, dtype=np.uint32)

    def carry_out(self, corpus: Path) -> Curated:
        shutil.rmtree(self._finished(), ignore_errors=True)
        self._work.mkdir(parents=True, exist_ok=True)
        boilerplate = self._find_boilerplate()
        findings: Counter[str] = Counter()
        for counts in self._stage("prepared", partial(prepare, judge=self._judge)):
            findings.update(counts.findings)
        decisions = Decisions.from_signs(self._signs(), self._rules.minimum_bytes, self._work / "decisions")
        decisions.merge_copies()
        cut: Counter[str] = Counter()
        for unit in self._rules.repeated:
            cut[unit] = self._cut_repeated(unit, decisions)
        if cut:
            before = decisions
            again = self._work / "decisions-again"
            decisions = Decisions.from_signs(self._signs(), self._rules.minimum_bytes, again, before)
            decisions.keep_owners(before, self._owners)
            decisions.merge_copies()
        clusters = self._find_alike(decisions)
        kept = np.flatnonzero(decisions.kept)
        if not len(kept):
            raise _nothing_left(decisions)
        groups = Groups(decisions, clusters, self._rules.group_by_folders)
        places = place(groups, kept, len(decisions), self._rules.shares)
        write_decisions(decisions, places, self._work / "decided.arrow")
        written = list(self._stage("written", partial(write_outcome, decided=self._work / "decided.arrow"), last=True))
        put_together(written, corpus)
        curated = Curated(
            added_up([part.books for part in written]),
            bytes_of(places, decisions.bytes),
            {
                "exact": sum(fate.reason == "exact duplicate" for fate in decisions.fates),
                "near": self._near,
                "contained": self._contained,
            },
            places.moved,
            decisions.carried(decisions.kept | decisions.media),
            findings,
            cut,
            boilerplate,
        )
        for part in written:
            curated.languages.update(part.languages)
            curated.profiles.update(part.profiles)
            curated.media.update(part.media)
        finished = self._finished()
        self._work.rename(finished)  # at once, so that no half of it is ever taken for whole
        shutil.rmtree(finished)
        return curated

    def _finished(self) -> Path:
        return self._work.with_name(f"{self._work.name}.finished")

    def _stage(
        self, name: str, function: Callable[[Part], T], chosen: Sequence[Part] | None = None, last: bool = False
    ) -> Iterator[T]:
        """Carry a stage out over all shards; those after it find what it made in `folder`."""
        parts = [replace(part, to=self._work / name / part.shard.name) for part in chosen or self._parts]
        done = 0
        for part, result in zip(parts, self._engine.map(function, parts, self._tick), strict=True):
            done += part.shard.rows
            safe_point(self._observer, done, self._documents, f"documents {name}")
            yield result
        if chosen is None and not last:
            self._parts = [replace(part, folder=part.to) for part in parts]

    def _tick(self) -> None:
        if self._observer.stop_requested():
            self._observer.stopped()

    def _find_boilerplate(self) -> int:
        """Which lines are in too many documents; every part's folder gets them. How many they are."""
        at_least = self._rules.boilerplate_documents
        profiles = self._rules.expectations.profiles().values()
        if at_least is None or not any("boilerplate" in profile.rules for profile in profiles):
            return 0
        folder = self._work / "boilerplate"
        if not (folder / "keys.npy").exists():
            counted = [replace(part, to=self._work / "border-lines" / part.shard.name) for part in self._parts]
            for _ in self._stage("border-lines", count_lines, chosen=self._parts):
                pass
            keys = self._engine.tables.common_keys([part.to / LINES for part in counted], at_least)
            folder.mkdir(exist_ok=True)
            _save(folder / "keys.npy", keys)
        self._parts = [replace(part, folder=folder) for part in self._parts]
        return len(np.load(folder / "keys.npy", mmap_mode="r"))

    def _signs(self) -> Iterator[pa.RecordBatch]:
        for part in self._parts:
            yield from signs(part.folder)

    def _cut_repeated(self, unit: Unit, decisions: Decisions) -> int:
        chosen = self._work / f"kept-before-{unit}s.npy"
        if not chosen.exists():
            _save(chosen, decisions.kept)
        listed = [self._work / f"{unit}s" / part.shard.name / PASSAGE_ROWS for part in self._parts]
        for _ in self._stage(f"{unit}s", partial(list_passages, unit=unit, chosen=chosen), chosen=self._parts):
            pass
        repeated = self._work / f"repeated-{unit}s.rows"
        found = write_found(repeated, self._engine.tables.repeated(listed), REPEATED)
        self._owners = np.union1d(self._owners, np.unique(found["kept"]))
        stage = partial(cut_repeated, unit=unit, repeated=repeated)
        return sum(counts.cut for counts in self._stage(f"without-{unit}s", stage))

    def _find_alike(self, decisions: Decisions) -> Clusters:
        """Find near-identical and contained documents, and merge those that are not wanted."""
        clusters = Clusters()
        near = self._compared(decisions, "near")
        decisions.note_alike(near)
        self._near = near.num_rows
        for number, other in decisions.numbered(near):
            clusters.join(number, other)
        if self._rules.drop_near_duplicates:
            decisions.merge_found(near, "near duplicate")
        if self._rules.containment is not None:
            contained = self._compared(decisions, "contained")
            decisions.note_alike(contained)
            self._contained = contained.num_rows
            for number, other in decisions.numbered(contained):
                clusters.join(number, other)
            decisions.merge_found(contained, "contained")
        return clusters

    def _compared(self, decisions: Decisions, kind: str) -> pa.Table:
        chosen = self._work / f"compared-{kind}.npy"
        _save(chosen, decisions.kept)
        folders = [self._work / f"sketches-{kind}" / part.shard.name / "sketches" for part in self._parts]
        for _ in self._stage(f"sketches-{kind}", partial(sketch, chosen=chosen), chosen=self._parts):
            pass
        work = self._work / f"comparison-{kind}"
        shutil.rmtree(work, ignore_errors=True)
        sketches = Sketches(folders)
        if kind == "near":
            return near_duplicates(sketches, work, self._rules.similarity, self._engine.tables)
        assert self._rules.containment is not None
        return contained_documents(sketches, work, self._rules.containment, self._engine.tables)


def _save(path: Path, array: NDArray[Any]) -> None:
    """Write an array so that the file is whole or not there."""
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    unfinished.rename(path)


def _nothing_left(decisions: Decisions) -> UserError:
    reasons = Counter(fate.reason for fate in decisions.fates).most_common()
    said = ", ".join(f"{count} {reason}" for reason, count in reasons)
    text = " with a text" if decisions.media.any() else ""
    return UserError(
        f"none of the {len(decisions)} documents is left{text}: {said}",
        hint="lower minimum_bytes, allow the documents what they are wanted for, or change the bounds that drop them",
    )
