"""What others read of our tables is what we wrote, under a schema that does not change by accident."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from loresmith.data.curation.changing_text import EDIT_COLUMNS
from loresmith.data.curation.outcome import SCORE_COLUMNS
from loresmith.data.documents import CORPUS_COLUMNS, DOCUMENT_COLUMNS
from loresmith.data.messages_dataset import RECORD_COLUMNS
from loresmith.data.mixture.dealing import MIXED_COLUMNS
from loresmith.data.pack import TOKEN_COLUMNS
from loresmith.data.record_books import BOOK_COLUMNS
from tests.data.written_corpora import corpus_of, document

DOCUMENTS = [
    document(
        "handbuch.pdf",
        "Öl prüfen.\nFilter 𝄞",
        language="de",
        labels=["restricted", "hr"],
        pages=[{"number": 1, "start": 0}, {"number": 2, "start": 13}],
        pieces=[{"at": 0, "start": 5, "length": 10}],
        metadata='{"title":"Ö"}',
    ),
    document("b.txt", "check the oil", split="test", uses=[]),
    document("c.png", "", media_type="image/png"),
]
SCORES: list[dict[str, Any]] = [{"scores": [("words", 3.0)], "flags": ["short"]}, {"scores": [("words", 3.0)]}, {}]

SCHEMAS = {
    "documents": (
        DOCUMENT_COLUMNS,
        "id string, path string, text string, bytes int64, media_type string, language string, licence string, "
        "labels list<element: string>, collected_at string, metadata string, owner string, "
        "uses list<element: string>, retain_until string, source_start int64, source_bytes int64, "
        "pages list<element: struct<number: int32, start: int64>>",
    ),
    "corpus": (
        CORPUS_COLUMNS,
        "... split string, group string, pieces list<element: struct<at: int64, start: int64, length: int64>>",
    ),
    "mixture": (MIXED_COLUMNS, "... source string, repeat int32"),
    "dataset": (
        RECORD_COLUMNS,
        "id string, split string, group string, messages string, tools string, path string, line int64, "
        "licence string, labels list<element: string>, metadata string, bytes int64, owner string, "
        "uses list<element: string>, retain_until string",
    ),
    "books": (
        BOOK_COLUMNS,
        "id string, path string, disposition string, reason string, detail string, bytes int64",
    ),
    "edits": (
        EDIT_COLUMNS,
        "id string, path string, rule string, start int64, end int64, before_bytes int64, after_bytes int64",
    ),
    "scores": (
        SCORE_COLUMNS,
        "id string, path string, profile string, disposition string, reason string, detail string, language string, "
        "group string, bytes int64, scores map<string, double>, flags list<element: string>, "
        "breaches list<element: struct<name: string, value: double, consequence: string, because: string>>, "
        "near string, similarity double",
    ),
    "tokens": (
        TOKEN_COLUMNS,
        "id string, path string, group string, offset int64, tokens int64, bytes int64, retain_until string",
    ),
}


def test_the_schemas_are_what_they_were() -> None:
    """Whoever changes one changes what other programs read: add columns at the end, and say so in the changelog."""
    said: dict[str, str] = {}
    before = ""
    for name, (schema, expected) in SCHEMAS.items():
        written = ", ".join(f"{field.name} {field.type}" for field in schema).replace("item:", "element:")
        whole = expected.replace("...", f"{before},", 1) if expected.startswith("...") else expected
        said[name] = written
        assert written == whole, name
        before = written


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus_of(DOCUMENTS, tmp_path_factory.mktemp("corpus"), SCORES)


def plain(value: Any) -> Any:
    """A value without the types that a library has of its own."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def same(found: list[dict[str, Any]]) -> None:
    assert [plain(row) for row in found] == DOCUMENTS
    assert list(found[0]) == CORPUS_COLUMNS.names


def test_pyarrow(corpus: Path) -> None:
    import pyarrow.dataset as ds

    same(ds.dataset(sorted(corpus.glob("documents-*.parquet"))).to_table().to_pylist())


def test_pandas(corpus: Path) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.read_parquet(corpus / "documents-00000.parquet")
    same(table.to_dict("records"))
    assert table[table.language == "de"].path.tolist() == ["handbuch.pdf"]
    scores = pandas.read_parquet(corpus / "scores.parquet")
    assert dict(scores.scores[0]) == {"words": 3.0}


def test_polars(corpus: Path) -> None:
    polars = pytest.importorskip("polars")
    same(polars.read_parquet(corpus / "documents-*.parquet").to_dicts())
    scores = polars.read_parquet(corpus / "scores.parquet", columns=["path", "flags"])
    assert scores.filter(polars.col("flags").list.contains("short"))["path"].to_list() == ["handbuch.pdf"]


def test_duckdb(corpus: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}) as database:
        found = database.execute(f"SELECT * FROM '{corpus}/documents-*.parquet'")
        names = [column[0] for column in found.description]
        same([dict(zip(names, row, strict=True)) for row in found.fetchall()])
        joined = (
            f"SELECT path FROM '{corpus}/scores.parquet' WHERE scores['words'] > 1 AND list_contains(flags, 'short')"
        )
        assert database.execute(joined).fetchall() == [("handbuch.pdf",)]


def test_datasets(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    files = [str(file) for file in sorted(corpus.glob("documents-*.parquet"))]
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    same(list(loaded))


def test_metadata_is_json(corpus: Path) -> None:
    for row in pa.parquet.read_table(corpus / "documents-00000.parquet", columns=["metadata"]).to_pylist():
        assert isinstance(json.loads(row["metadata"]), dict)
