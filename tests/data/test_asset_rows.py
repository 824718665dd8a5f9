"""The scores of a corpus stand beside its documents, of which there are fewer."""

from __future__ import annotations

from pathlib import Path

import pytest

from loresmith.data.asset_rows import AssetRows
from loresmith.data.conditions.condition import Condition
from loresmith.data.curation.outcome import SCORE_COLUMNS
from loresmith.data.looking import look, matching_batches
from loresmith.data.tables import TableWriter
from loresmith.errors import Failure
from tests.data.written_corpora import corpus_of, document


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of every third of 9,000 documents that were scored: more than one batch of either."""
    folder = tmp_path_factory.mktemp("corpus")
    documents = [document(f"{number}.txt", f"text {number}") for number in range(9_000)]
    corpus_of(documents[::3], folder)
    with TableWriter(folder / "scores.parquet", SCORE_COLUMNS) as table:
        for number, row in enumerate(documents):
            table.add(
                {
                    **dict.fromkeys(SCORE_COLUMNS.names),
                    **{name: row[name] for name in ("id", "path", "bytes", "language", "group")},
                    "scores": [("number", number)],
                    "breaches": [],
                    "flags": ["even"] if number % 2 == 0 else [],
                }
            )
    return folder


def test_each_document_has_its_own_scores(corpus: Path) -> None:
    rows = AssetRows(corpus)
    seen = [row for batch in rows.batches(["scores", "path"]) for row in batch.to_pylist()]
    assert [(row["path"], dict(row["scores"])["number"]) for row in seen] == [
        (f"{number}.txt", number) for number in range(0, 9_000, 3)
    ]


def test_a_condition_looks_at_documents_and_scores(corpus: Path) -> None:
    rows = AssetRows(corpus)
    condition = Condition("scores.number >= 6000 AND 'even' IN flags AND path != '6006.txt'", rows.schema)
    found = look(rows, condition, ["path"], limit=2)
    assert found.rows == ((2001, {"path": "6000.txt"}), (2005, {"path": "6012.txt"}))
    assert found.matching == 499
    all_of_them = [path for batch in matching_batches(rows, condition, ["path"]) for path in batch["path"].to_pylist()]
    assert all_of_them == [f"{number}.txt" for number in range(6000, 9000, 6) if number != 6006]


def test_scores_of_another_corpus_are_not_taken(tmp_path: Path) -> None:
    documents = [document("a", "one"), document("b", "two")]
    corpus_of(documents, tmp_path, [{}, {}])
    corpus_of(documents[::-1], tmp_path)
    with pytest.raises(Failure, match="no row for the document"):
        list(AssetRows(tmp_path).batches(["flags"]))
