"""The cases of evaluation suites, ready to be found in documents.

Of a case, every run of 13 words is kept, and a shorter case as a whole, as it is usual since Brown et al., "Language
Models are Few-Shot Learners", 2020, appendix C; words are in lower case and without punctuation. They take no case of
fewer than 8 words; here one is taken if its answer is among its words, and `findings` looks whether it is ordinary
wording. Runs of words that many cases of one suite share, such as the instructions that all begin with, say nothing of
a single case and are left out. Besides, of its runs of five words those with the smallest hashes are kept, a sample by
which a reworded case is found (bottom-k sketches: Broder, "On the resemblance and containment of documents", 1997).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loresmith.data.contamination.key_table import KeyTable
from loresmith.data.contamination.run_hashes import RunHashes
from loresmith.data.duplicates.shingles import SHINGLE_WORDS
from loresmith.data.duplicates.words import hashed_words
from loresmith.data.mixing import hash_of, mix

_TEXTS: list[tuple[str, pa.DataType]] = [(name, pa.string()) for name in ("suite", "case", "text")]
CASE_COLUMNS = pa.schema([*_TEXTS, ("answered", pa.bool_())])
"""`text` is all of a case that must not be learnt: its prompt and its answer; `answered` says whether it has that.
`suite` is a digest."""

UNMISTAKABLE = 8
"""Words that do not stand in other text by chance: fewer may be ordinary wording. Brown et al. take no shorter case."""

MOST_CASES = 50
"""Cases of one suite that may have a run of words in common before it counts as the suite's own wording."""

SAMPLED = 64
"""Runs of five words of a case by which it is looked for in other wording."""

SMALLEST = 16
"""A case with fewer different runs of five words is not looked for in other wording: a few would make half of it."""

_BYTES_PER_WORD = 100
_TOGETHER = 1 << 18

Standing = Literal["judged", "too short", "shared wording", "ordinary wording"]
"""Whether a case can be found: one that is too short, or has no words of its own, cannot be told from other text; nor
can a short one that turns out to stand in many documents (`findings.MOST_DOCUMENTS`)."""


class Case(NamedTuple):
    """A case, as a row of `CASE_COLUMNS` has it."""

    suite: str
    name: str
    text: str
    answered: bool = True


@dataclass(frozen=True)
class Rule:
    """When a case counts as found.

    Attributes:
        words: in a run that gives a case away.
        shortest: of a case with fewer words than that, all of it does, if it has at least so many; below `UNMISTAKABLE`
            words only if its answer is among them.
        similarity: the share of a case's runs of five words that give it away when they stand close together; None:
            cases in other wording are not looked for.
    """

    words: int = 13
    shortest: int = 4
    similarity: float | None = 0.5

    def is_mistakable(self, words: int) -> bool:
        """Whether all of a case of so many words may be ordinary wording."""
        return words < min(UNMISTAKABLE, self.words)


def fold(text: str) -> str:
    """A text in lower case, with every character where it was: one letter alone becomes two in lower case."""
    return text.replace("\u0130", "I").lower()


class CaseIndex:
    """Some cases; legend: C cases, N runs of words.

    Args:
        rule: when a case counts as found.
        common: the keys of what too many cases of a suite have (`shareable`), ascending.

    Attributes:
        rule: when a case counts as found.
        names: (C,) the suite and the name of each case.
        texts: (C,) the words of each, with a space between them.
        sizes: (C,) how many words each has.
        standings: (C,) whether each can be found.
        runs: the runs of words of cases that are long enough; `run_cases` (N,) says of which case each entry is,
            `run_words` and `run_places` (N,) with which word and character of its text it begins.
        short: the first words of the other cases, by how many these are: all, or the first `UNMISTAKABLE`; with each
            table, of which case each entry is.
        samples: of the runs of five words; `sample_cases` says of which case each entry is.
        fewest: (C,) how many sampled runs have to be close together for the case to be looked at.
    """

    def __init__(self, rule: Rule, common: NDArray[np.uint64]) -> None:
        self.rule = rule
        self._common = common
        self.names: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.sizes: list[int] = []
        self.standings: list[Standing] = []
        self._suites: dict[str, int] = {}
        self._runs: list[NDArray[np.uint64]] = []
        self._run_rows: list[NDArray[np.uint32]] = []
        self._short: dict[int, list[tuple[int, int]]] = {}
        self._shingles: list[NDArray[np.uint64]] = []

    def add(self, cases: Sequence[Case]) -> None:
        """Add cases."""
        if not cases:
            return
        words = hashed_words([fold(case.text) for case in cases])
        hashes = RunHashes(words.hashes)
        runs, shingles = hashes.of(self.rule.words), hashes.of(SHINGLE_WORDS)
        short = {length: hashes.of(length) for length in range(self.rule.shortest, UNMISTAKABLE)}
        short[UNMISTAKABLE] = hashes.of(UNMISTAKABLE)
        begin = 0
        for (suite, name, _, answered), count in zip(cases, words.counts.tolist(), strict=True):
            case, end = len(self.names), begin + count
            enough = count >= self.rule.shortest and (answered or not self.rule.is_mistakable(count))
            lengths = words.ends[begin:end] - words.starts[begin:end]
            self._suites.setdefault(suite, len(self._suites))
            self.names.append((suite, name))
            self.sizes.append(count)
            spans = zip(words.starts[begin:end].tolist(), words.ends[begin:end].tolist(), strict=True)
            self.texts.append(" ".join(words.text[start:stop] for start, stop in spans))
            self.standings.append("judged" if enough else "too short")
            if count >= self.rule.words:
                own = runs[begin : end - self.rule.words + 1]
                places = np.r_[0, np.cumsum(lengths + 1)][: len(own)]
                _, once = np.unique(own, return_index=True)
                rows = np.stack([np.full(len(once), case), once, places[once]]).astype(np.uint32)
                self._runs.append(own[once])
                self._run_rows.append(rows)
            elif enough:
                length = min(count, UNMISTAKABLE)
                self._short.setdefault(length, []).append((int(short[length][begin]), case))
            own_shingles = shingles[begin : max(begin, end - SHINGLE_WORDS + 1)]
            self._shingles.append(np.unique(own_shingles) if count >= self.rule.shortest else own_shingles[:0])
            begin = end

    def close(self) -> CaseIndex:
        """Make the tables; nothing is added any more."""
        keys = np.concatenate([np.empty(0, dtype=np.uint64), *self._runs])
        rows = np.concatenate([np.empty((3, 0), dtype=np.uint32), *self._run_rows], axis=1)
        own = ~self._is_common("run", keys, rows[0])
        keys, rows = keys[own], rows[:, own]
        self.runs = KeyTable(keys)
        self.run_cases, self.run_words, self.run_places = rows
        self.short = {
            length: (
                KeyTable(np.array([key for key, _ in some], dtype=np.uint64)),
                np.array([case for _, case in some], dtype=np.uint32),
            )
            for length, some in sorted(self._short.items())
        }
        left = set(self.run_cases.tolist()).union(*(cases.tolist() for _, cases in self.short.values()))
        for case, standing in enumerate(self.standings):
            if standing == "judged" and case not in left:
                self.standings[case] = "shared wording"
        self._sample()
        del self._runs, self._run_rows, self._short, self._shingles
        return self

    def shareable(self) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint32]]]:
        """What may be common to cases of a suite: hashes that say of which suite and which sort it is, and the case of
        each. To be asked for before `close`."""
        for sort, found in (("run", self._runs), ("shingle", self._shingles)):
            cases = (rows[0] for rows in self._run_rows) if sort == "run" else range(len(found))
            for case, keys in zip(cases, found, strict=True):
                of_case = np.broadcast_to(np.asarray(case, dtype=np.uint32), keys.shape)
                yield self._salted(sort, keys, of_case), of_case

    def _salted(self, sort: str, keys: NDArray[np.uint64], cases: NDArray[np.uint32]) -> NDArray[np.uint64]:
        salts = [hash_of(f"{sort}/{suite}") for suite in self._suites]
        suite_of = np.array([self._suites[suite] for suite, _ in self.names], dtype=np.int64)
        return mix(keys ^ np.array(salts, dtype=np.uint64)[suite_of[cases]])

    def _is_common(self, sort: str, keys: NDArray[np.uint64], cases: NDArray[np.uint32]) -> NDArray[np.bool_]:
        if not len(keys) or not len(self._common):
            return np.zeros(len(keys), dtype=bool)
        salted = self._salted(sort, keys, cases)
        places = np.searchsorted(self._common, salted)
        places[places == len(self._common)] = 0
        return np.asarray(self._common[places] == salted)

    def _sample(self) -> None:
        cases = np.repeat(np.arange(len(self._shingles), dtype=np.uint32), [len(each) for each in self._shingles])
        keys = np.concatenate([np.empty(0, dtype=np.uint64), *self._shingles])
        if self.rule.similarity is None:
            cases, keys = cases[:0], keys[:0]
        own = ~self._is_common("shingle", keys, cases)
        cases, keys = cases[own], keys[own]
        counts = np.bincount(cases, minlength=len(self.names))
        ranks = np.arange(len(cases)) - np.repeat(np.cumsum(counts) - counts, counts)  # keys of a case are ascending
        taken = (ranks < SAMPLED) & (counts[cases] >= SMALLEST)
        self.samples = KeyTable(keys[taken])
        self.sample_cases = cases[taken].astype(np.uint32)
        wanted = self.rule.similarity or 1.0
        doubt = np.where(counts > SAMPLED, 3 * np.sqrt(SAMPLED * wanted * (1 - wanted)), 0.0)
        self.fewest = np.maximum(1, np.ceil(wanted * np.minimum(counts, SAMPLED) - doubt)).astype(np.int64)


def divided(batches: Iterable[pa.RecordBatch], memory: int) -> Iterator[list[Case]]:
    """Cases in blocks of which an index takes at most so many bytes, unless a single case takes more.

    Args:
        batches: under `CASE_COLUMNS`.
    """
    block: list[Case] = []
    size = 0
    for batch in batches:
        for row in batch.to_pylist():
            cost = _BYTES_PER_WORD * (1 + len(row["text"]) // 4)
            if block and size + cost > memory:
                yield block
                block, size = [], 0
            block.append(case_of(row))
            size += cost
    if block:
        yield block


def case_of(row: Mapping[str, Any]) -> Case:
    """The case of a row of `CASE_COLUMNS`."""
    return Case(row["suite"], row["case"], row["text"], row["answered"])


def added(index: CaseIndex, cases: Iterable[Case]) -> CaseIndex:
    """Add cases to an index, some at a time."""
    waiting: list[Case] = []
    size = 0
    for case in cases:
        waiting.append(case)
        size += len(case.text)
        if size > _TOGETHER:
            index.add(waiting)
            waiting, size = [], 0
    index.add(waiting)
    return index
