from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.shards import ShardWriter, TokenShards, dtype_for, write_index
from loresmith.errors import Failure, UserError


def write(directory: Path, documents: list[list[int]], vocabulary_size: int, shard_bytes: int) -> list[int]:
    dtype = dtype_for(vocabulary_size)
    writer = ShardWriter(directory, "train", dtype, shard_bytes)
    offsets = [writer.append(np.array(document, dtype=dtype)) for document in documents]
    write_index(directory, dtype, vocabulary_size, 0, {"train": writer.index(len(documents), 0)})
    return offsets


@settings(max_examples=50)
@given(
    st.lists(st.lists(st.integers(0, 65_535), max_size=30), max_size=20),
    st.sampled_from([65_536, 65_537]),
    st.integers(1, 200),
    st.data(),
)
def test_what_is_read_is_what_was_written(
    documents: list[list[int]], vocabulary_size: int, shard_bytes: int, data: st.DataObject
) -> None:
    everything = [token for document in documents for token in document]
    with tempfile.TemporaryDirectory() as name:
        offsets = write(Path(name), documents, vocabulary_size, shard_bytes)
        shards = TokenShards.open(Path(name))
        stream = shards.split("train")
        assert len(stream) == len(everything)
        start = data.draw(st.integers(0, len(everything)))
        count = data.draw(st.integers(0, len(everything) - start))
        assert stream.read(start, count).tolist() == everything[start : start + count]
        for offset, document in zip(offsets, documents, strict=True):
            assert stream.read(offset, len(document)).tolist() == document
        assert all((Path(name) / s.file).stat().st_size <= max(4, shard_bytes) for s in shards.splits["train"].shards)


def test_windows_outside_the_stream_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [[1, 2, 3]], 10, 100)
    stream = TokenShards.open(tmp_path).split("train")
    for start, count in ((-1, 1), (0, 4), (3, 1)):
        with pytest.raises(IndexError):
            stream.read(start, count)


def test_damage_and_foreign_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no index\.json"):
        TokenShards.open(tmp_path)
    write(tmp_path, [[1, 2, 3]], 10, 100)
    with pytest.raises(UserError, match="no split 'trian'"):
        TokenShards.open(tmp_path).split("trian")
    (tmp_path / "train-00000.bin").write_bytes(b"\0")
    with pytest.raises(Failure, match="has 1 bytes"):
        TokenShards.open(tmp_path)
    (tmp_path / "train-00000.bin").unlink()
    with pytest.raises(Failure, match="is missing"):
        TokenShards.open(tmp_path)
    index = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps(index | {"format": 99}))
    with pytest.raises(UserError, match="format 99"):
        TokenShards.open(tmp_path)
