"""The cases of evaluation suites, ready to be found in documents.

Of a case, every run of 13 words is kept, and a shorter case as a whole, as it is usual since Brown et al., "Language
Models are Few-Shot Learners", 2020, appendix C; words are in lower case and without punctuation. Runs of words that
many cases of one suite share, such as the instructions that all begin with, say nothing of a single case and are left
out. Besides, of its runs of five words those with the smallest hashes are kept, a sample by which a reworded case is
found (bottom-k sketches: Broder, "On the resemblance and containment of documents", 1997).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loresmith.data.contamination.key_table import KeyTable
from loresmith.data.contamination.run_hashes import RunHashes
from loresmith.data.duplicates.shingles import SHINGLE_WORDS
from loresmith.data.duplicates.words import hashed_words

CASE_COLUMNS = pa.schema([(name, pa.string()) for name in ("suite", "case", "text")])
"""`text` is all of a case that must not be learnt: its prompt and its answer. `suite` is a digest."""

MOST_CASES = 50
"""Cases of one suite that may have a run of words in common before it counts as the suite's own wording."""

SAMPLED = 64
"""Runs of five words of a case by which it is looked for in other wording."""

SMALLEST = 16
"""A case with fewer different runs of five words is not looked for in other wording: a few would make half of it."""

MEMORY = 512 << 20
"""Bytes that an index may take; of more cases, an index is made of as many as fit, and then one of the next."""

_BYTES_PER_WORD = 100
_TOGETHER = 1 << 18

Standing = Literal["judged", "too short", "shared wording"]
"""Whether a case can be found: one that is too short, or has no words of its own, cannot be told from other text."""


@dataclass(frozen=True)
class Rule:
    """When a case counts as found.

    Attributes:
        words: in a run that gives a case away.
        shortest: of a case with fewer words than that, all of it does, if it has at least so many. Brown et al. take 8.
        similarity: the share of a case's runs of five words that give it away when they stand close together; None:
            cases in other wording are not looked for.
    """

    words: int = 13
    shortest: int = 8
    similarity: float | None = 0.5


def fold(text: str) -> str:
    """A text in lower case, with every character where it was: one letter alone becomes two in lower case."""
    return text.replace("\u0130", "I").lower()


class CaseIndex:
    """Some cases; legend: C cases, N runs of words.

    Attributes:
        rule: when a case counts as found.
        names: (C,) the suite and the name of each case.
        texts: (C,) the words of each, with a space between them.
        sizes: (C,) how many words each has.
        standings: (C,) whether each can be found.
        runs: the runs of words of cases that are long enough; `run_cases` (N,) says of which case each entry is,
            `run_words` and `run_places` (N,) with which word and character of its text it begins.
        short: the first `shortest` words of the other cases; `short_cases` says of which case each entry is.
        samples: of the runs of five words; `sample_cases` says of which case each entry is.
        fewest: (C,) how many sampled runs have to be close together for the case to be looked at.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.names: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.sizes: list[int] = []
        self.standings: list[Standing] = []
        self._suites: dict[str, int] = {}
        self._runs: list[NDArray[np.uint64]] = []
        self._run_rows: list[NDArray[np.uint32]] = []
        self._short: list[tuple[int, int]] = []
        self._shingles: list[NDArray[np.uint64]] = []

    def add(self, cases: Sequence[tuple[str, str, str]]) -> None:
        """Add cases, given as suite, name and text."""
        if not cases:
            return
        words = hashed_words([fold(text) for _, _, text in cases])
        hashes = RunHashes(words.hashes)
        runs, short, shingles = hashes.of(self.rule.words), hashes.of(self.rule.shortest), hashes.of(SHINGLE_WORDS)
        begin = 0
        for (suite, name, _), count in zip(cases, words.counts.tolist(), strict=True):
            case, end = len(self.names), begin + count
            lengths = words.ends[begin:end] - words.starts[begin:end]
            self._suites.setdefault(suite, len(self._suites))
            self.names.append((suite, name))
            self.sizes.append(count)
            spans = zip(words.starts[begin:end].tolist(), words.ends[begin:end].tolist(), strict=True)
            self.texts.append(" ".join(words.text[start:stop] for start, stop in spans))
            self.standings.append("judged" if count >= self.rule.shortest else "too short")
            if count >= self.rule.words:
                own = runs[begin : end - self.rule.words + 1]
                places = np.r_[0, np.cumsum(lengths + 1)][: len(own)]
                _, once = np.unique(own, return_index=True)
                rows = np.stack([np.full(len(once), case), once, places[once]]).astype(np.uint32)
                self._runs.append(own[once])
                self._run_rows.append(rows)
            elif count >= self.rule.shortest:
                self._short.append((int(short[begin]), case))
            own_shingles = shingles[begin : max(begin, end - SHINGLE_WORDS + 1)]
            self._shingles.append(np.unique(own_shingles) if count >= self.rule.shortest else own_shingles[:0])
            begin = end

    def close(self) -> CaseIndex:
        """Make the tables; nothing is added any more."""
        suite_of = np.array([self._suites[suite] for suite, _ in self.names], dtype=np.int64)
        keys = np.concatenate([np.empty(0, dtype=np.uint64), *self._runs])
        rows = np.concatenate([np.empty((3, 0), dtype=np.uint32), *self._run_rows], axis=1)
        own = ~_shared(keys, suite_of[rows[0]])
        keys, rows = keys[own], rows[:, own]
        self.runs = KeyTable(keys)
        self.run_cases, self.run_words, self.run_places = rows
        self.short = KeyTable(np.array([key for key, _ in self._short], dtype=np.uint64))
        self.short_cases = np.array([case for _, case in self._short], dtype=np.uint32)
        left = set(self.run_cases.tolist()) | set(self.short_cases.tolist())
        for case, standing in enumerate(self.standings):
            if standing == "judged" and case not in left:
                self.standings[case] = "shared wording"
        self._sample(suite_of)
        del self._runs, self._run_rows, self._short, self._shingles
        return self

    def _sample(self, suite_of: NDArray[np.int64]) -> None:
        cases = np.repeat(np.arange(len(self._shingles)), [len(each) for each in self._shingles])
        keys = np.concatenate([np.empty(0, dtype=np.uint64), *self._shingles])
        if self.rule.similarity is None:
            cases, keys = cases[:0], keys[:0]
        own = ~_shared(keys, suite_of[cases])
        cases, keys = cases[own], keys[own]
        counts = np.bincount(cases, minlength=len(self.names))
        ranks = np.arange(len(cases)) - np.repeat(np.cumsum(counts) - counts, counts)  # keys of a case are ascending
        taken = (ranks < SAMPLED) & (counts[cases] >= SMALLEST)
        self.samples = KeyTable(keys[taken])
        self.sample_cases = cases[taken].astype(np.uint32)
        wanted = self.rule.similarity or 1.0
        doubt = np.where(counts > SAMPLED, 3 * np.sqrt(SAMPLED * wanted * (1 - wanted)), 0.0)
        self.fewest = np.maximum(1, np.ceil(wanted * np.minimum(counts, SAMPLED) - doubt)).astype(np.int64)


def _shared(keys: NDArray[np.uint64], suites: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which entries have a key that too many entries of the same suite have; a case has each of its keys once."""
    if not len(keys):
        return np.zeros(0, dtype=bool)
    order = np.lexsort((suites, keys))
    begins = np.r_[True, (np.diff(keys[order]) != 0) | (np.diff(suites[order]) != 0)]
    groups = np.cumsum(begins) - 1
    shared = np.empty(len(keys), dtype=bool)
    shared[order] = (np.bincount(groups) > MOST_CASES)[groups]
    return shared


def case_indexes(batches: Iterable[pa.RecordBatch], rule: Rule, memory: int = MEMORY) -> Iterator[CaseIndex]:
    """Indexes of all cases, each of at most so many bytes, unless a single case takes more.

    Args:
        batches: under `CASE_COLUMNS`. The cases of a suite had better come together: what is shared by how many of
            them is counted within an index.
    """
    index, size = CaseIndex(rule), 0
    waiting: list[tuple[str, str, str]] = []
    waiting_size = 0
    for batch in batches:
        for row in batch.to_pylist():
            cost = _BYTES_PER_WORD * (1 + len(row["text"]) // 4)
            if size and size + cost > memory:
                index.add(waiting)
                yield index.close()
                index, size, waiting, waiting_size = CaseIndex(rule), 0, [], 0
            waiting.append((row["suite"], row["case"], row["text"]))
            size += cost
            waiting_size += len(row["text"])
            if waiting_size > _TOGETHER:
                index.add(waiting)
                waiting, waiting_size = [], 0
    index.add(waiting)
    if index.names:
        yield index.close()
