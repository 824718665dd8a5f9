"""Finding passages for a caller, in those partitions alone whose every label the caller holds.

No other partition is opened, counted or waited for: what a caller gets, its scores and its order are those of an index
in which the rest has never been. There is no cache of questions or answers that one caller could fill for another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from threading import Lock

from loresmith.errors import Failure, UserError
from loresmith.serving.retrieval.embedders.embedder import Embedder, Vectors
from loresmith.serving.retrieval.layout import EMBEDDER, IndexFacts, PartitionFacts, read_facts
from loresmith.serving.retrieval.partition import Partition
from loresmith.serving.retrieval.passage import Passage, PassageRef
from loresmith.serving.retrieval.ranking import best, reciprocal_rank
from loresmith.serving.retrieval.terms import terms_of
from loresmith.serving.retrieval.word_index import inverse_frequency
from loresmith.serving.wall_clock import WallClock

Authorise = Callable[[PassageRef], bool]

CANDIDATES = 50
"""Passages that each way of looking brings, at least, of those that are authorised."""

MOST_TERMS = 256
"""Different terms of a question that are looked for."""

_Hit = tuple[Partition, int]


def _calendar() -> Callable[[], date]:
    now = WallClock()
    return lambda: now().date()


class Retriever:
    """An index that is asked. May be asked by several threads at once.

    Attributes:
        facts: what the index says of itself.
        embedder: what makes its vectors; None where it has none.
        asset: its digest in a workspace; empty for one that is in none.
        withdrawn: nothing is found any more.
    """

    def __init__(
        self,
        directory: Path,
        facts: IndexFacts,
        embedder: Embedder | None,
        today: Callable[[], date] | None = None,
        asset: str = "",
        erased: Callable[[], bool] = lambda: False,
    ) -> None:
        self.facts = facts
        self.embedder = embedder
        self.asset = asset
        self.withdrawn = False
        self._directory = directory
        self._today = today or _calendar()
        self._erased = erased
        self._opened: dict[str, Partition] = {}
        # One each: nobody waits while a partition is opened that they may not see.
        self._opening = {each.folder: Lock() for each in facts.partitions}

    @classmethod
    def open(
        cls,
        directory: Path,
        embedder: Embedder | None = None,
        *,
        threads: int = 1,
        today: Callable[[], date] | None = None,
        asset: str = "",
        erased: Callable[[], bool] = lambda: False,
    ) -> Retriever:
        """Open an `index` asset; its partitions are opened when somebody asks who may see them.

        Args:
            embedder: what made its vectors, where that is a model asset; where its files lie in the index, it is
                opened here.
            threads: CPU threads for one call of such an embedder.
            today: the day, by which documents are left out that may not be kept any more.
            asset: its digest in a workspace.
            erased: whether something of it is erased by now. Asked where a partition cannot be opened.

        Raises:
            UserError: it is no index, or the embedder is not the one that made it, or is not given or not installed.
            Failure: it is damaged.
        """
        facts = read_facts(directory)
        if embedder is None and facts.embedder is not None and facts.embedder.kind == "onnx":
            from loresmith.serving.retrieval.embedders.onnx_embedder import OnnxEmbedder

            embedder = OnnxEmbedder(directory / EMBEDDER, threads)
        if facts.embedder is not None and (embedder is None or embedder.facts != facts.embedder):
            given = f"{embedder.facts.name} was given" if embedder is not None else "none was given"
            raise UserError(
                f"this index was made with the embedder {facts.embedder.name}; {given}", where=str(directory)
            )
        return cls(directory, facts, embedder if facts.embedder is not None else None, today, asset, erased)

    def withdraw(self) -> None:
        """Find nothing any more, for nobody; the embedder goes on. For an index of which something was erased: what is
        open of it is in memory, and would outlive its files."""
        self.withdrawn = True
        self._opened.clear()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors (texts, dimensions) of texts, as of passages, of unit length.

        Raises:
            UserError: the index has no embedder.
        """
        if self.embedder is None:
            raise UserError("this index has no embedder: its passages are found by words alone")
        return self.embedder.embed(texts)

    def retrieve(
        self,
        query: str,
        labels: frozenset[str],
        authorise: Authorise,
        limit: int,
        least_cosine: float | None = None,
    ) -> list[Passage]:
        """The passages that answer a question best, of those that the caller may see.

        Args:
            query: the question, or what is looked for.
            labels: every label that the caller holds.
            authorise: asked of every passage before it takes a rank: one that is refused leaves no gap in the scores.
                What it raises is raised.
            limit: how many passages, at most.
            least_cosine: passages that are less near to the question are left out; not where the index has no vectors.

        Returns:
            The best first, numbered from 1; of those with the same score the one of the lower document id, and of one
            document the earlier.

        Raises:
            Failure: a partition that the caller may see is damaged.
        """
        if self.withdrawn:
            return []
        visible = self._visible(labels)
        if not visible or limit < 1:
            return []
        question = self.embedder.embed([query], question=True)[0] if self.embedder is not None else None
        asked = _Asked(authorise, self._today().isoformat())
        count = max(CANDIDATES, 2 * limit)
        rankings = [asked.allowed(lambda most: _by_words(query, visible, most), count)]
        if question is not None:
            rankings.append(asked.allowed(lambda most: _by_vectors(question, visible, most), count))
        allowed = {hit: ref for ranking in rankings for hit, ref in ranking.items()}
        cosines = {hit: _cosine(hit, question) for hit in allowed}
        least = least_cosine if least_cosine is not None else -math.inf
        allowed = {hit: ref for hit, ref in allowed.items() if (cosine := cosines[hit]) is None or cosine >= least}
        scores = reciprocal_rank([[hit for hit in ranking if hit in allowed] for ranking in rankings])
        order = sorted(scores, key=lambda hit: (-scores[hit], allowed[hit].document, allowed[hit].start))
        found = [
            Passage(
                **vars(allowed[hit]),
                text=hit[0].passages.text(hit[1]),
                score=scores[hit],
                cosine=cosines[hit],
                number=number,
            )
            for number, hit in enumerate(order[:limit], 1)
        ]
        if self.withdrawn:  # meanwhile
            self._opened.clear()
            return []
        return found

    def _visible(self, labels: frozenset[str]) -> list[Partition]:
        try:
            return [self._partition(facts) for facts in self.facts.partitions if labels.issuperset(facts.labels)]
        except Failure:
            if self._erased():
                return []  # as for everybody, once this is withdrawn
            raise

    def _partition(self, facts: PartitionFacts) -> Partition:
        found = self._opened.get(facts.folder)
        if found is None:
            with self._opening[facts.folder]:
                found = self._opened.get(facts.folder)
                if found is None:
                    found = Partition(self._directory, facts, vectors=self.embedder is not None)
                    self._opened[facts.folder] = found
        return found


class _Asked:
    """Which passages may be shown today, to this caller; each is asked about once."""

    def __init__(self, authorise: Authorise, today: str) -> None:
        self._authorise = authorise
        self._today = today
        self._refs: dict[_Hit, PassageRef | None] = {}

    def allowed(self, look: Callable[[int], list[_Hit]], count: int) -> dict[_Hit, PassageRef]:
        """The best passages of those that may be shown, in their order: as many as if there were no others.

        Args:
            look: finds so many, at most, the best first.
        """
        most = count
        while True:
            found = look(most)
            shown = {hit: ref for hit in found if (ref := self._shown(hit)) is not None}
            if len(shown) >= count or len(found) < most:
                return dict(islice(shown.items(), count))
            most *= 4

    def _shown(self, hit: _Hit) -> PassageRef | None:
        if hit not in self._refs:
            ref = hit[0].passages.ref(hit[1])
            kept = not ref.retain_until or self._today <= ref.retain_until
            self._refs[hit] = ref if kept and self._authorise(ref) else None
        return self._refs[hit]


def _by_words(query: str, visible: Sequence[Partition], count: int) -> list[_Hit]:
    """The passages with the highest BM25, over all partitions that the caller may see as if they were one."""
    passages = sum(partition.words.passages for partition in visible)
    idf = {}
    for term in list(dict.fromkeys(terms_of(query)))[:MOST_TERMS]:
        frequency = sum(partition.words.frequency(term) for partition in visible)
        if frequency:
            idf[term] = inverse_frequency(passages, frequency)
    found: list[tuple[float, _Hit]] = []
    for partition in visible:
        scores = partition.words.scores(idf)
        found += [(float(scores[n]), (partition, int(n))) for n in best(scores, count) if scores[n] > 0]
    return _merged(found, count)


def _by_vectors(question: Vectors, visible: Sequence[Partition], count: int) -> list[_Hit]:
    """The passages whose vectors are nearest to the question's."""
    found: list[tuple[float, _Hit]] = []
    for partition in visible:
        assert partition.vectors is not None
        numbers, cosines = partition.vectors.nearest(question, count)
        found += [(float(cosine), (partition, int(n))) for n, cosine in zip(numbers, cosines, strict=True)]
    return _merged(found, count)


def _merged(found: list[tuple[float, _Hit]], count: int) -> list[_Hit]:
    """The highest of several partitions; of equal ones those of the partition whose labels come first."""
    found.sort(key=lambda each: (-each[0], each[1][0].facts.labels, each[1][1]))
    return [hit for _, hit in found[:count]]


def _cosine(hit: _Hit, question: Vectors | None) -> float | None:
    vectors = hit[0].vectors
    return vectors.cosine(hit[1], question) if vectors is not None and question is not None else None
