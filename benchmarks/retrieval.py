"""How well passages are found and how fast, with bm25s as it comes as the peer.

    python benchmarks/retrieval.py [--questions N] [--documents N] [--json]

The documents are docstrings of the standard library without their first sentences, which are the questions; what counts
is whether the document is among the first ten. Then the same documents are given four labels at random, and asked for
by somebody who holds all four: once as we rank them, and once with the partitions' own rankings made one by reciprocal
rank. It needs the extra `embedder` and takes a few minutes, nearly all for the vectors. With --json the last line is
one JSON object.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import random
import statistics
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bm25s
import numpy as np

from loresmith.data.documents import CORPUS_COLUMNS, DocumentWriter
from loresmith.serving.retrieval.build import Cut, build_index
from loresmith.serving.retrieval.embedders.minilm import lay_out_minilm
from loresmith.serving.retrieval.embedders.onnx_embedder import OnnxEmbedder
from loresmith.serving.retrieval.layout import PARTITIONS
from loresmith.serving.retrieval.ranking import reciprocal_rank
from loresmith.serving.retrieval.retriever import Retriever
from loresmith.serving.retrieval.vector_index import GRAPH, VectorIndex, write_graph

LIMIT = 10
LABELS = ("north", "south", "east", "west")
LEFT_OUT = frozenset({"test", "tests", "idlelib", "lib2to3", "turtledemo", "site-packages", "dist-packages"})
QUESTION_WORDS, ANSWER_WORDS = 5, 20

Search = Callable[[str], Sequence[str]]
"""The paths that are found for a question, the best first."""


@dataclass(frozen=True)
class KnownItem:
    """A document, and a question that it answers.

    Attributes:
        path: the file and the name in it.
        text: the docstring; where there is a question, what follows its first paragraph.
        question: the first paragraph; empty where one of the two would be too short.
    """

    path: str
    text: str
    question: str


def known_items(most: int | None = None) -> list[KnownItem]:
    """All docstrings of functions and classes of eight words or more, in the order of their files, or the first."""
    root = Path(sysconfig.get_path("stdlib"))
    found: dict[str, KnownItem] = {}
    for file in sorted(root.rglob("*.py")):
        if LEFT_OUT.isdisjoint(file.relative_to(root).parts):
            for item in _of_file(file, file.relative_to(root).as_posix()):
                found.setdefault(item.text, item)
        if most is not None and len(found) >= most:
            break
    return list(found.values())[:most]


def questions(items: list[KnownItem], count: int, seed: int = 0) -> list[KnownItem]:
    """So many of those with a question, drawn at random."""
    asked = [item for item in items if item.question]
    return random.Random(seed).sample(asked, min(count, len(asked)))


def _of_file(file: Path, name: str) -> Iterator[KnownItem]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        whole = ast.get_docstring(node) or ""
        question, _, text = whole.partition("\n\n")
        if len(question.split()) >= QUESTION_WORDS and len(text.split()) >= ANSWER_WORDS:
            yield KnownItem(f"{name}#{node.name}", text, " ".join(question.split()))
        elif len(whole.split()) >= 8:
            yield KnownItem(f"{name}#{node.name}", whole, "")


def write_corpus(folder: Path, items: Sequence[KnownItem], labelled: bool) -> Path:
    """The items as a corpus, all without labels, or each with one of four drawn at random."""
    draw = random.Random(1)
    folder.mkdir()
    with DocumentWriter(folder, CORPUS_COLUMNS) as writer:
        for item in items:
            size = len(item.text.encode())
            row: dict[str, Any] = dict.fromkeys(CORPUS_COLUMNS.names, "")
            row |= {
                "id": hashlib.sha256(item.path.encode() + item.text.encode()).hexdigest()[:32],
                "path": item.path,
                "text": item.text,
                "bytes": size,
                "source_start": 0,
                "source_bytes": size,
                "labels": [draw.choice(LABELS)] if labelled else [],
                "uses": ["retrieve"],
                "pages": [],
                "pieces": [],
            }
            writer.add(row)
    return folder


def recall(asked: Sequence[KnownItem], search: Search) -> float:
    """The share of questions whose document is among the first ten."""
    return sum(item.path in search(item.question)[:LIMIT] for item in asked) / len(asked)


def built(folder: Path, corpus: Path, embedder: OnnxEmbedder | None) -> tuple[Retriever, float]:
    """An index, and the seconds that it took."""
    began = time.perf_counter()
    (folder / "work").mkdir(parents=True)
    (folder / "index").mkdir()
    build_index(corpus, folder / "index", folder / "work", Cut(), embedder, 0, lambda *_said: None)
    return Retriever.open(folder / "index", embedder), time.perf_counter() - began


def ours(retriever: Retriever, labels: Sequence[str] = ()) -> Search:
    """What the retriever finds for somebody who holds these labels."""
    held = frozenset(labels)
    return lambda question: [each.path for each in retriever.retrieve(question, held, lambda _ref: True, LIMIT)]


def by_vectors(folder: Path, items: Sequence[KnownItem], embedder: OnnxEmbedder) -> Search:
    """The nearest vectors of all passages, each path once."""
    (partition,) = (folder / "index" / PARTITIONS).iterdir()
    index = VectorIndex(partition)
    retriever = Retriever.open(folder / "index", embedder)
    passages = retriever._partition(retriever.facts.partitions[0]).passages
    paths = [passages.ref(number).path for number in range(len(passages))]

    def search(question: str) -> Sequence[str]:
        numbers, _ = index.nearest(embedder.embed([question], question=True)[0], 5 * LIMIT)
        return list(dict.fromkeys(paths[number] for number in numbers))

    return search


def bm25s_alone(items: Sequence[KnownItem]) -> Search:
    """bm25s with its own words, stop words and all, on whole documents."""
    index = bm25s.BM25()
    index.index(bm25s.tokenize([item.text for item in items], show_progress=False), show_progress=False)

    def search(question: str) -> Sequence[str]:
        found, _ = index.retrieve(bm25s.tokenize(question, show_progress=False), k=LIMIT, show_progress=False)
        return [items[number].path for number in found[0]]

    return search


def rankings_of_partitions(retriever: Retriever) -> Search:
    """What each label's holder would find, made one by reciprocal rank: what we do not do."""
    alone = [ours(retriever, [label]) for label in LABELS]

    def search(question: str) -> Sequence[str]:
        scores = reciprocal_rank([search_one(question) for search_one in alone])
        return sorted(scores, key=lambda path: (-scores[path], path))

    return search


def milliseconds(asked: Sequence[KnownItem], search: Callable[[str], object]) -> tuple[float, float]:
    """The median, and the 99th percentile."""
    taken = []
    for item in asked:
        began = time.perf_counter()
        search(item.question)
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]


def graph_recall(folder: Path, asked: Sequence[KnownItem], embedder: OnnxEmbedder) -> tuple[float, float, float]:
    """The share of the ten nearest that the graph finds, and milliseconds with and without it."""
    (partition,) = (folder / "index" / PARTITIONS).iterdir()
    vectors = embedder.embed([item.question for item in asked], question=True)
    exact = VectorIndex(partition)
    write_graph(partition)
    graph = VectorIndex(partition)
    (partition / GRAPH).unlink()
    found, seconds = 0, np.zeros(2)
    for vector in vectors:
        began = time.perf_counter()
        wanted, _ = exact.nearest(vector, LIMIT)
        between = time.perf_counter()
        numbers, _ = graph.nearest(vector, LIMIT)
        seconds += (time.perf_counter() - between, between - began)
        found += len(set(wanted.tolist()) & set(numbers.tolist()))
    with_graph, without = 1000 * seconds / len(asked)
    return found / (LIMIT * len(asked)), float(with_graph), float(without)


def measure(count: int, documents: int | None, folder: Path) -> dict[str, Any]:
    """All figures."""
    items = known_items(documents)
    asked = questions(items, count)
    (folder / "minilm").mkdir()
    lay_out_minilm(folder / "minilm")
    embedder = OnnxEmbedder(folder / "minilm")
    corpus = write_corpus(folder / "corpus", items, labelled=False)
    words, words_seconds = built(folder / "words", corpus, None)
    fused, seconds = built(folder / "fused", corpus, embedder)
    passages = sum(each.passages for each in fused.facts.partitions)
    divided, _ = built(folder / "divided", write_corpus(folder / "labelled", items, labelled=True), embedder)
    p50, p99 = milliseconds(asked, ours(fused))
    graph, graph_ms, exact_ms = graph_recall(folder / "fused", asked, embedder)
    return {
        "documents": len(items),
        "passages": passages,
        "questions": len(asked),
        "recall_at_10": {
            "bm25s": recall(asked, bm25s_alone(items)),
            "words": recall(asked, ours(words)),
            "vectors": recall(asked, by_vectors(folder / "fused", items, embedder)),
            "fused": recall(asked, ours(fused)),
            "fused_four_labels": recall(asked, ours(divided, LABELS)),
            "four_rankings_by_rank": recall(asked, rankings_of_partitions(divided)),
        },
        "passages_per_second_words": passages / words_seconds,
        "passages_per_second_vectors": passages / seconds,
        "question_ms_p50": p50,
        "question_ms_p99": p99,
        "question_ms_p50_words": milliseconds(asked, ours(words))[0],
        "graph_recall_at_10": graph,
        "graph_ms": graph_ms,
        "exact_ms": exact_ms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=600)
    parser.add_argument("--documents", type=int, default=None, help="only the first so many; default: all")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object, last")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = measure(options.questions, options.documents, Path(folder))
    for name, figure in found.items():
        for part, value in figure.items() if isinstance(figure, dict) else ((name, figure),):
            print(f"{part:<28} {value:>10.3f}" if isinstance(value, float) else f"{part:<28} {value:>10,}")
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
