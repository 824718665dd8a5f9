"""What is exported is what is there, whole or not at all, and never in the place of anything else."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loresmith.data.asset_rows import AssetRows
from loresmith.data.conditions.condition import Condition
from loresmith.data.exporting import Export, export
from loresmith.data.messages_dataset import RECORD_COLUMNS
from loresmith.data.steps import INGEST_MESSAGES
from loresmith.errors import UserError
from tests.data.conversations import asked, dataset_of
from tests.data.tables import rows
from tests.data.written_corpora import corpus_of, document
from tests.step_context import run_step

DOCUMENTS = [
    document("a.txt", "Öl\nprüfen", labels=["restricted"], metadata='{"page":{"n":1}}', language="de"),
    document("b.txt", "check the oil", split="test"),
    document("c.txt", "drain the oil", pages=[{"number": 1, "start": 0}]),
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> AssetRows:
    return AssetRows(corpus_of(DOCUMENTS, tmp_path_factory.mktemp("corpus"), [{}] * 3))


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with pa.input_stream(str(path), compression="detect") as stream:
        for line in stream.read().decode().splitlines():
            yield json.loads(line)


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst"])
def test_json_lines_hold_every_column(corpus: AssetRows, tmp_path: Path, name: str) -> None:
    done = export(corpus, Export(tmp_path / name))
    found = list(lines(tmp_path / name))
    assert [{**row, "metadata": json.loads(row["metadata"])} for row in DOCUMENTS] == found
    assert (done.rows, done.labels) == (3, {"restricted": 1})


def test_a_gzip_file_is_one(corpus: AssetRows, tmp_path: Path) -> None:
    export(corpus, Export(tmp_path / "out.jsonl.gz"))
    assert gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()).count(b"\n") == 3


def test_a_folder_of_parquet_is_the_corpus_again(corpus: AssetRows, tmp_path: Path) -> None:
    export(corpus, Export(tmp_path / "out"))
    assert rows(tmp_path / "out") == DOCUMENTS
    assert pq.read_schema(tmp_path / "out" / "documents-00000.parquet") == corpus.own_schema


def test_rows_are_chosen_by_split_and_condition(corpus: AssetRows, tmp_path: Path) -> None:
    condition = Condition("text LIKE '%oil%'", corpus.schema)
    export(corpus, Export(tmp_path / "oil.jsonl", condition=condition, split="train"))
    assert [row["path"] for row in lines(tmp_path / "oil.jsonl")] == ["c.txt"]


def test_the_manifest_says_what_the_files_are(corpus: AssetRows, tmp_path: Path) -> None:
    done = export(corpus, Export(tmp_path / "out.jsonl", known={"asset": "abc", "labels": ["restricted"]}))
    said = json.loads(done.manifest.read_text(encoding="utf-8"))
    written = (tmp_path / "out.jsonl").read_bytes()
    assert done.manifest == tmp_path / "out.jsonl.manifest.json"
    assert said == {
        "asset": "abc",
        "labels": ["restricted"],
        "rows": 3,
        "bytes": sum(row["bytes"] for row in DOCUMENTS),
        "labels_of_rows": {"restricted": 1},
        "files": {"out.jsonl": {"bytes": len(written), "sha256": hashlib.sha256(written).hexdigest()}},
    }


def test_nothing_is_overwritten(corpus: AssetRows, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("mine", encoding="utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "other.jsonl.manifest.json").symlink_to("nowhere")
    for name in ("out.jsonl", "full", "other.jsonl"):
        before = sorted(path.name for path in tmp_path.rglob("*"))
        with pytest.raises(UserError, match=r"already|not empty"):
            export(corpus, Export(tmp_path / name))
        assert sorted(path.name for path in tmp_path.rglob("*")) == before
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == "mine"


class Slow(AssetRows):
    """Rows so slow that somebody else writes a file before they are read."""

    comes: Path

    @property
    def own_schema(self) -> pa.Schema:
        self.comes.write_text("mine", encoding="utf-8")
        return super().own_schema


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_comes_meanwhile_stays_and_links_are_not_needed(
    corpus: AssetRows, links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_paths: Any, **_options: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")  # as Linux says of FAT

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    done = export(corpus, Export(tmp_path / "out.jsonl"))
    assert [row["path"] for row in lines(tmp_path / "out.jsonl")] == ["a.txt", "b.txt", "c.txt"]
    slow = Slow(corpus.directory)
    for name in ("late.jsonl", "other.jsonl.manifest.json"):
        slow.comes = tmp_path / name
        with pytest.raises(UserError, match="nothing is overwritten"):
            export(slow, Export(tmp_path / name.removesuffix(".manifest.json")))
        assert slow.comes.read_text(encoding="utf-8") == "mine"
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {"out.jsonl", done.manifest.name, "late.jsonl", "other.jsonl.manifest.json"}


def test_a_failure_leaves_nothing_behind(corpus: AssetRows, tmp_path: Path) -> None:
    for name in ("out.jsonl", "out"):
        nothing = Condition("path = 'nowhere'", corpus.schema)
        with pytest.raises(UserError, match="no row is meant"):
            export(corpus, Export(tmp_path / name, condition=nothing))
        assert list(tmp_path.iterdir()) == []


def test_a_name_that_contradicts_the_format_is_refused(corpus: AssetRows, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is written as jsonl, and parquet is asked for"):
        export(corpus, Export(tmp_path / "out.jsonl", format="parquet"))


def test_documents_that_are_not_split_have_no_split(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{"id": "1", "path": "a", "text": "x", "bytes": 1, "labels": []}])
    pq.write_table(table, tmp_path / "documents-00000.parquet")
    with pytest.raises(UserError, match="not split yet"):
        export(AssetRows(tmp_path), Export(tmp_path / "out", split="train"))


READ_AGAIN = ("id", "labels", "messages", "metadata", "tools")
"""Keys that a record of a conversation may have; what else an export says of it is metadata of the next dataset."""


def test_exported_conversations_can_be_ingested_again(tmp_path: Path) -> None:
    records = [asked("Who?", "Ada."), {**asked("Where?", "Here."), "labels": ["restricted"]}]
    dataset = dataset_of(records, tmp_path)
    export(AssetRows(dataset), Export(tmp_path / "exported.jsonl"))
    config = {
        "path": str(tmp_path / "exported.jsonl"),
        "metadata_fields": [name for name in RECORD_COLUMNS.names if name not in READ_AGAIN],
        "validation_share": 0,
    }
    again = run_step(INGEST_MESSAGES, tmp_path / "again", config).outputs["dataset"].directory
    kept = ("messages", "tools", "labels", "group")
    assert [[row[name] for name in kept] for row in rows(again, "records.parquet")] == [
        [row[name] for name in kept] for row in rows(dataset, "records.parquet")
    ]
