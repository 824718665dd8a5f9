from __future__ import annotations

from pathlib import Path

import pytest

from loresmith.data.documents import DOCUMENT_COLUMNS, DocumentWriter
from loresmith.data.engine.shards import read_shard, shards
from loresmith.data.tables import TableWriter
from tests.data.duplicate_corpora import prose


def row(number: int, text: str) -> dict[str, object]:
    empty = {field.name: None for field in DOCUMENT_COLUMNS}
    return {**empty, "id": f"{number:06}", "path": f"{number}.txt", "text": text, "bytes": len(text)}


def written(folder: Path, texts: list[str], files: int = 1) -> Path:
    """Documents in several files and many small row groups."""
    folder.mkdir()
    each = -(-len(texts) // files)
    for file in range(files):
        with TableWriter(folder / f"documents-{file:05}.parquet", DOCUMENT_COLUMNS) as writer:
            for number in range(file * each, min(len(texts), (file + 1) * each)):
                writer.add(row(number, texts[number]), 1 << 20)  # eight documents fill a group
    return folder


@pytest.mark.parametrize("bytes_", [1, 20_000, 1 << 30])
def test_every_document_is_in_one_shard_in_its_place(bytes_: int, tmp_path: Path) -> None:
    texts = [prose(seed, 100) for seed in range(90)]
    found = shards(written(tmp_path / "documents", texts, files=3), bytes_)
    rows = [row for shard in found for batch in read_shard(shard, ("id", "text")) for row in batch.to_pylist()]
    assert rows == [{"id": f"{number:06}", "text": text} for number, text in enumerate(texts)]
    assert [shard.first for shard in found] == [
        sum(before.rows for before in found[:place]) for place in range(len(found))
    ]
    assert len({shard.name for shard in found}) == len(found)
    assert len(found) == {1: 12, 20_000: 6, 1 << 30: 3}[bytes_]


def test_a_batch_is_small_in_rows_and_in_bytes(tmp_path: Path) -> None:
    texts = ["x"] * 1000 + ["y" * (3 << 20)] * 9
    (tmp_path / "documents").mkdir()
    with DocumentWriter(tmp_path / "documents", DOCUMENT_COLUMNS) as writer:
        for number, text in enumerate(texts):
            writer.add(row(number, text))
    (shard,) = shards(tmp_path / "documents")
    assert shard.rows == 1009
    sizes = [(batch.num_rows, batch.nbytes) for batch in read_shard(shard, ("text",))]
    assert sum(rows for rows, _ in sizes) == 1009
    assert max(rows for rows, _ in sizes) == 256
    assert max(bytes_ for _, bytes_ in sizes) < 20 << 20


def test_without_documents_there_is_no_shard(tmp_path: Path) -> None:
    assert shards(written(tmp_path / "documents", [])) == []
