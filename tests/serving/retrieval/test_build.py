"""An index says of every passage where it stands, accounts for every document, and is the same however it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from loresmith.data.edited_text import Edit, EditedText
from loresmith.data.tables import TableWriter
from loresmith.errors import Interrupted, UserError
from loresmith.serving.retrieval import build as building
from loresmith.serving.retrieval.build import Cut
from loresmith.serving.retrieval.layout import PARTITIONS, read_facts
from loresmith.serving.retrieval.passage_table import PassageTable
from loresmith.serving.retrieval.retriever import Retriever
from loresmith.serving.retrieval.vector_index import GRAPH, VECTORS, VectorIndex, write_graph
from loresmith.serving.steps import INDEX
from tests.advice.corpora import document, prose, write_corpus
from tests.serving.retrieval.indexes import (
    ask,
    build,
    build_with_vectors,
    files_of,
    minilm,
    opened,
    paths,
    with_vectors,
)
from tests.step_context import RecordingContext, run_step


def test_a_passage_leads_back_to_its_bytes_and_page(tmp_path: Path) -> None:
    pages = [f"Seite {number}: der Prüfstand läuft. " + prose(number, 90) + "\n" for number in range(1, 4)]
    text = "".join(pages)
    starts = [len("".join(pages[:number]).encode()) for number in range(3)]
    listed = [{"number": number, "start": start} for number, start in enumerate(starts, 1)]
    row = document("manual.txt", text, source_start=100, pages=listed)
    found = ask(opened(tmp_path, [row], words=20, overlap=5), "der Prüfstand läuft Seite 2", limit=50)
    assert {page for passage in found for page in passage.pages} == {1, 2, 3}
    for passage in found:
        assert passage.text == text[passage.start : passage.end]
        assert passage.exact
        assert text.encode()[passage.byte_start - 100 : passage.byte_end - 100].decode() == passage.text
        assert len(passage.pages) == 1
    assert found[0].pages == (2,)


def test_a_passage_of_a_changed_text_leads_back_to_what_was_read(tmp_path: Path) -> None:
    original = "Furniture | The valve of Ada Lovelace is açtive. Then follows the rest of it."
    gone = Edit(0, 12, "", "furniture")
    masked = Edit(original.index("Ada"), original.index(" is"), "[name]", "privacy")
    edited = EditedText.of(original).apply([gone, masked])
    row = document(
        "valve.txt",
        edited.text,
        source_bytes=len(original.encode()),
        pieces=[vars(piece) for piece in edited.pieces],
    )
    corpus = write_corpus(tmp_path / "corpus", [row])
    import pyarrow as pa

    columns = pa.schema([("id", pa.string()), ("start", pa.int64()), ("before_bytes", pa.int64())])
    with TableWriter(corpus.directory / "edits.parquet", columns) as edits:
        for edit in (gone, masked):
            before = len(original[edit.start : edit.end].encode())
            edits.add({"id": row["id"], "start": edit.start, "before_bytes": before})
    made = run_step(INDEX, tmp_path / "step", {"embedder": "none"}, {"corpus": corpus})
    (passage,) = ask(Retriever.open(made.outputs["index"].directory), "valve")
    assert passage.text == edited.text
    assert original.encode()[passage.byte_start : passage.byte_end].decode() == original[12:]


def test_documents_are_left_out_in_the_books(tmp_path: Path) -> None:
    rows = [
        document("shown.txt", "the valve"),
        document("trained.txt", "the valve is secret", uses=["train"]),
        document("picture.png", "", media_type="image/png"),
        document("blank.txt", " \n "),
    ]
    made = build(tmp_path, rows)
    documents, bytes_ = made.books.accounts
    assert {(entry.disposition, entry.reason): entry.count for entry in documents.left} == {
        ("kept", ""): 1,
        ("dropped", building.MAY_NOT): 1,
        ("dropped", building.EMPTY): 2,
    }
    assert bytes_.entered == 9 + 19 + 3
    table = pq.read_table(made.outputs["index"].directory / "books.parquet").to_pylist()
    assert {row["path"]: row["reason"] for row in table}["trained.txt"] == building.MAY_NOT
    assert b"secret" not in b"".join(files_of(made.outputs["index"].directory).values())


def test_a_corpus_of_which_nothing_may_be_retrieved_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to retrieve"):
        build(tmp_path, [document("trained.txt", "the valve", uses=["train"])])


def corpus_rows() -> list[dict[str, Any]]:
    labels = [[], ["clinical"], ["clinical", "night"]]
    return [document(f"{number}.txt", prose(number, 40), labels=labels[number % 3]) for number in range(12)]


class Stop(Exception):
    """Ends a build."""


def build_until(folder: Path, corpus: Path, looks: int) -> dict[str, bytes]:
    """Build in a folder until so many times was asked whether to go on; returns the index."""
    left = looks

    def look(_unit: str, _done: int, _in_all: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Stop

    for name in ("index", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    building.build_index(corpus, folder / "index", folder / "work", Cut(20, 5), minilm(), 0, look)
    return files_of(folder / "index")


def test_stopped_anywhere_it_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "PIECE", 2)
    corpus = write_corpus(tmp_path / "corpus", corpus_rows()).directory
    never = build_until(tmp_path / "never", corpus, 1000)
    assert build_until(tmp_path / "again", corpus, 1000) == never
    for looks in (0, 5, 12, 14, 16):  # 12 documents are read, then pieces are embedded
        with pytest.raises(Stop):
            build_until(tmp_path / "stopped", corpus, looks)
    left = {path: path.stat().st_mtime_ns for path in (tmp_path / "stopped" / "work").rglob("*.npy")}
    assert len(left) > 3
    assert build_until(tmp_path / "stopped", corpus, 1000) == never
    assert all(path.stat().st_mtime_ns == written for path, written in left.items())  # not embedded again


def test_the_step_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        build(tmp_path, corpus_rows(), context=RecordingContext(tmp_path / "stopped", stop_after=5))


def test_every_passage_has_its_own_vector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "PIECE", 2)
    index = build_with_vectors(tmp_path, corpus_rows(), words=20, overlap=5)
    for partition in read_facts(index).partitions:
        folder = index / PARTITIONS / partition.folder
        passages = PassageTable(folder, partition.labels)
        wanted = minilm().embed([f"{passages.ref(n).path}\n{passages.text(n)}" for n in range(len(passages))])
        assert np.array_equal(np.load(folder / VECTORS), wanted)


def test_a_graph_finds_what_comparing_all_finds(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((2000, 64)).astype(np.float32)  # nothing near anything: the hardest there is
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(tmp_path / VECTORS, vectors)
    exact = VectorIndex(tmp_path)
    write_graph(tmp_path)
    first = (tmp_path / GRAPH).read_bytes()
    write_graph(tmp_path)
    assert (tmp_path / GRAPH).read_bytes() == first
    graph = VectorIndex(tmp_path)
    found = 0
    for question in draw.standard_normal((50, 64)).astype(np.float32):
        (numbers, cosines), (wanted, _) = graph.nearest(question, 10), exact.nearest(question, 10)
        assert (np.diff(cosines) <= 0).all()
        assert np.allclose(cosines, vectors[numbers] @ question, atol=1e-6)
        found += len(set(numbers) & set(wanted))
    assert found >= 0.99 * 500
    assert len(graph.nearest(vectors[0], 5000)[0]) == 2000


def test_a_partition_with_a_graph_answers_as_one_without(tmp_path: Path) -> None:
    rows = corpus_rows()
    exact, graph = (with_vectors(tmp_path, rows, exact_below=below) for below in (50_000, 1))
    for labels in ((), ("clinical",)):
        assert ask(graph, rows[1]["text"], *labels) == ask(exact, rows[1]["text"], *labels)


def test_a_passage_is_found_by_what_its_file_is_called(tmp_path: Path) -> None:
    rows = [document("pumps/XJ-900_service.txt", "Clean it weekly."), document("valves/b.txt", "Clean it monthly.")]
    assert paths(ask(opened(tmp_path, rows), "XJ 900"))[0] == "pumps/XJ-900_service.txt"
