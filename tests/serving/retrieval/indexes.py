"""Small indexes over corpora that are written down here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from loresmith.factory.step import InputAsset, Result
from loresmith.serving.retrieval.build import Cut, build_index
from loresmith.serving.retrieval.embedders.minilm import lay_out_minilm
from loresmith.serving.retrieval.embedders.onnx_embedder import OnnxEmbedder
from loresmith.serving.retrieval.passage import Passage, PassageRef
from loresmith.serving.retrieval.retriever import Retriever
from loresmith.serving.steps import INDEX
from tests.advice.corpora import write_corpus
from tests.step_context import RecordingContext, run_step


def build(
    folder: Path,
    rows: Iterable[Mapping[str, Any]],
    context: RecordingContext | None = None,
    more: Mapping[str, InputAsset] | None = None,
    **config: Any,
) -> Result:
    """What the step `index` makes of some documents; without vectors unless an embedder is named."""
    corpus = write_corpus(Path(mkdtemp(dir=folder)) / "corpus", rows)
    settings = {"embedder": "none", **config}
    return run_step(INDEX, Path(mkdtemp(dir=folder)), settings, {"corpus": corpus, **(more or {})}, context)


def opened(folder: Path, rows: Iterable[Mapping[str, Any]], **config: Any) -> Retriever:
    """The index of some documents, ready to be asked."""
    return Retriever.open(build(folder, rows, **config).outputs["index"].directory)


@cache
def minilm() -> OnnxEmbedder:
    """all-MiniLM-L6-v2, loaded once."""
    with TemporaryDirectory() as folder:
        lay_out_minilm(Path(folder))
        return OnnxEmbedder(Path(folder))


def build_with_vectors(folder: Path, rows: Iterable[Mapping[str, Any]], **cut: int) -> Path:
    """The files of an index of some documents but those of its embedder, which is `minilm`."""
    corpus = write_corpus(Path(mkdtemp(dir=folder)) / "corpus", rows)
    target, work = Path(mkdtemp(dir=folder)), Path(mkdtemp(dir=folder))
    build_index(corpus.directory, target, work, Cut(**cut), minilm(), 0, lambda _unit, _done, _in_all: None)
    return target


def with_vectors(folder: Path, rows: Iterable[Mapping[str, Any]], **cut: int) -> Retriever:
    """As `opened`, with vectors of `minilm`."""
    return Retriever.open(build_with_vectors(folder, rows, **cut), minilm())


def everything(_passage: PassageRef) -> bool:
    """Authorises all."""
    return True


def ask(retriever: Retriever, query: str, *labels: str, limit: int = 10) -> list[Passage]:
    """What a caller with these labels gets, who may read every document that has no others."""
    return retriever.retrieve(query, frozenset(labels), everything, limit)


def paths(passages: Iterable[Passage]) -> list[str]:
    return [passage.path for passage in passages]


def files_of(directory: Path) -> dict[str, bytes]:
    """All that lies in a folder."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }
