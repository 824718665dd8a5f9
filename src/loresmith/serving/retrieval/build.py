"""Building an index: a corpus cut into passages, divided by their documents' labels, indexed by words and vectors.

What is embedded is written down in pieces, so that a build that was stopped or killed goes on with the next.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loresmith.data.corpus import read_documents
from loresmith.data.looking import edits_of
from loresmith.data.places import PLACE_COLUMNS, Places
from loresmith.data.record_books import RecordBooks
from loresmith.errors import UserError
from loresmith.ledger.books import Books
from loresmith.serving.retrieval.cutting import cut_passages
from loresmith.serving.retrieval.embedders.embedder import Embedder
from loresmith.serving.retrieval.layout import (
    FORMAT,
    INDEX,
    PARTITIONS,
    WORDS,
    IndexFacts,
    PartitionFacts,
    partition_name,
)
from loresmith.serving.retrieval.passage_table import OF_DOCUMENTS, PassageTable, PassageWriter
from loresmith.serving.retrieval.terms import terms_of
from loresmith.serving.retrieval.vector_index import VECTORS, write_graph
from loresmith.serving.retrieval.word_index import write_word_index

Look = Callable[[str, int, int], None]
"""Called with what is counted ("bytes" of text cut, "passages" embedded), how many are done, and of how many in all; it
may raise to stop."""

PIECE = 256
"""Passages that are embedded before they are written down."""

_COLUMNS = tuple(dict.fromkeys((*PLACE_COLUMNS, "id", "labels", "uses", *OF_DOCUMENTS)))

MAY_NOT, EMPTY = "may not be used to retrieve", "no text"


@dataclass(frozen=True)
class Cut:
    """How documents are cut, and how they are compared.

    Attributes:
        words, overlap: as of `cut_passages`.
        exact_below: a partition of more passages gets a graph by which near ones are found without comparing all.
    """

    words: int = 120
    overlap: int = 20
    exact_below: int = 50_000


@dataclass(frozen=True)
class Built:
    """What was built: its facts, as they stand in index.json, and the books of the documents."""

    facts: IndexFacts
    books: Books


def build_index(
    corpus: Path, target: Path, work: Path, cut: Cut, embedder: Embedder | None, in_all: int, look: Look
) -> Built:
    """Make the files of an `index` asset.

    Args:
        corpus: a `corpus` or `documents` asset.
        target: where they go; the embedder's own files are not among them. Gets books.parquet as well.
        work: a folder that is found again after an interruption.
        embedder: None: passages are found by their words alone.
        in_all: bytes of the corpus's texts, for `look`.

    Raises:
        UserError: there are no documents, or none that may be retrieved.
    """
    facts, books = _write_passages(corpus, target, cut, in_all, look)
    if not facts:
        raise UserError(
            "there is nothing to retrieve: no document has text and may be used so",
            where=str(corpus),
            hint="`uses` of ingested documents has to contain `retrieve`; books.parquet names each that has not",
        )
    embedding = _Embedding(embedder, work, sum(each.passages for each in facts), look) if embedder is not None else None
    for each in facts:
        folder = target / PARTITIONS / each.folder
        passages = PassageTable(folder, each.labels)
        # What a file is called often says what it is about, and in words that its passages leave out.
        texts = [f"{path}\n{passages.text(number)}" for number, path in enumerate(passages.paths())]
        write_word_index([terms_of(text) for text in texts], folder / WORDS)
        if embedding is not None:
            embedding.write(texts, folder)
            if each.passages > cut.exact_below:
                write_graph(folder)
    index = IndexFacts(
        format=FORMAT,
        words=cut.words,
        overlap=cut.overlap,
        embedder=embedder.facts if embedder is not None else None,
        partitions=tuple(facts),
    )
    (target / INDEX).write_text(index.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return Built(index, books)


def _write_passages(
    corpus: Path, target: Path, cut: Cut, in_all: int, look: Look
) -> tuple[list[PartitionFacts], Books]:
    """Cut all documents; returns the partitions in the order of their labels."""
    shutil.rmtree(target / PARTITIONS, ignore_errors=True)
    writers: dict[tuple[str, ...], PassageWriter] = {}
    done = 0
    with ExitStack() as stack, RecordBooks(target) as books:
        for row in _rows(corpus):
            size = len(row["text"].encode())
            done += size
            books.enter(1, size)
            reason = MAY_NOT if "retrieve" not in (row["uses"] or ()) else "" if row["text"].strip() else EMPTY
            books.leave(row["id"], row["path"], "dropped" if reason else "kept", size, reason)
            if not reason:
                labels = tuple(sorted(set(row["labels"] or ())))
                if labels not in writers:
                    folder = target / PARTITIONS / partition_name(labels)
                    folder.mkdir(parents=True)
                    writers[labels] = stack.enter_context(PassageWriter(folder))
                for passage, text in _passages(row, cut):
                    writers[labels].add(passage, text)
            look("bytes", done, in_all)
    facts = [
        PartitionFacts(
            folder=partition_name(labels), labels=labels, documents=writer.documents, passages=writer.passages
        )
        for labels, writer in sorted(writers.items())
    ]
    return facts, books.accounts()


def _rows(corpus: Path) -> Iterator[dict[str, Any]]:
    """The documents in their order, each with its edits."""
    for batch in read_documents(corpus, _columns(corpus)):
        rows = batch.to_pylist()
        edits = edits_of(corpus, [row["id"] for row in rows if row.get("pieces")])
        for row in rows:
            yield {**row, "edits": edits.get(row["id"], ())}


def _columns(corpus: Path) -> list[str]:
    """Documents that were never curated have no pieces."""
    import pyarrow.parquet as pq

    files = sorted(corpus.glob("documents-*.parquet"))
    there = pq.read_schema(files[0]).names if files else _COLUMNS
    return [name for name in _COLUMNS if name != "pieces" or name in there]


def _passages(row: Mapping[str, Any], cut: Cut) -> Iterator[tuple[dict[str, Any], str]]:
    """The passages of a document, as rows of the table, and what they say."""
    places = Places(row, row["edits"])
    for start, end in cut_passages(row["text"], cut.words, cut.overlap, places.page_borders()):
        place = places.of(start, end)
        passage = {
            "document": row["id"],
            "path": row["path"],
            **{name: row[name] or "" for name in OF_DOCUMENTS},
            "start": start,
            "end": end,
            "byte_start": place.start,
            "byte_end": place.end,
            "exact": place.exact,
            "pages": list(place.pages),
        }
        yield passage, row["text"][start:end]


class _Embedding:
    """Writes vectors, a piece at a time; pieces that an earlier start has left in `work` are taken as they are."""

    def __init__(self, embedder: Embedder, work: Path, in_all: int, look: Look) -> None:
        self._embedder = embedder
        self._work = work
        self._in_all = in_all
        self._done = 0
        self._look = look

    def write(self, texts: Sequence[str], folder: Path) -> None:
        """Write the vectors of a partition's passages."""
        pieces = self._work / folder.name
        pieces.mkdir(parents=True, exist_ok=True)
        shape = (len(texts), self._embedder.facts.dimensions)
        vectors = np.lib.format.open_memmap(folder / VECTORS, "w+", np.float32, shape)
        for start in range(0, len(texts), PIECE):
            end = min(len(texts), start + PIECE)
            piece = pieces / f"{start:09d}.npy"
            if not piece.exists():
                writing = piece.with_suffix(".writing.npy")
                np.save(writing, self._embedder.embed(texts[start:end]))
                writing.rename(piece)
            vectors[start:end] = np.load(piece)
            self._done += end - start
            self._look("passages", self._done, self._in_all)
        vectors.flush()
