"""Packing: documents to token shards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loresmith.data.corpus import read_documents
from loresmith.data.encoding import Encoder
from loresmith.data.shards import SPLITS, ShardWriter, dtype_for, write_index

Look = Callable[[int, int], None]
"""Called with the bytes and tokens packed so far; it may raise to stop."""


@dataclass(frozen=True)
class Packed:
    """What was packed, per split."""

    documents: dict[str, int]
    bytes: dict[str, int]
    tokens: dict[str, int]
    vocabulary_size: int


def pack(corpus: Path, tokenizer: Path, target: Path, shard_bytes: int, look: Look) -> Packed:
    """Encode every document of a corpus into the shards of its split.

    Args:
        corpus, tokenizer: assets of these kinds.
        target: the folder of the `tokens` asset.
        shard_bytes: largest size of a shard file, in bytes.
        look: called after each batch.

    Raises:
        UserError: the corpus holds no documents, or the tokenizer cannot be used.
    """
    encoder = Encoder.load(tokenizer)
    dtype = dtype_for(encoder.vocabulary_size)
    splits = {}
    packed = Packed({}, {}, {}, encoder.vocabulary_size)
    seen_bytes = seen_tokens = 0
    for split in SPLITS:
        writer = ShardWriter(target, split, dtype, shard_bytes)
        rows: dict[str, list[str | int]] = {name: [] for name in ("id", "path", "group", "offset", "tokens", "bytes")}
        for batch in read_documents(corpus, ("id", "path", "group", "text"), split):
            columns = batch.to_pydict()
            encoded = encoder.documents(columns["text"])
            start = writer.append(np.concatenate(encoded))
            for name in ("id", "path", "group"):
                rows[name].extend(columns[name])
            lengths = [len(ids) for ids in encoded]
            rows["offset"].extend(int(start + before) for before in np.cumsum([0, *lengths[:-1]]))
            rows["tokens"].extend(lengths)
            sizes = [len(text.encode("utf-8")) for text in columns["text"]]
            rows["bytes"].extend(sizes)
            seen_bytes += sum(sizes)
            seen_tokens += sum(lengths)
            look(seen_bytes, seen_tokens)
        documents, size = len(rows["id"]), sum(int(count) for count in rows["bytes"])
        _write_documents(target / f"{split}.documents.parquet", rows)
        splits[split] = writer.index(documents, size)
        packed.documents[split], packed.bytes[split], packed.tokens[split] = documents, size, writer.tokens
    write_index(target, dtype, encoder.vocabulary_size, encoder.end_of_document, splits)
    shutil.copytree(tokenizer, target / "tokenizer")
    return packed


def _write_documents(path: Path, rows: dict[str, list[str | int]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = {"offset", "tokens", "bytes"}
    schema = pa.schema([(name, pa.int64() if name in whole else pa.string()) for name in rows])
    pq.write_table(pa.table(rows, schema=schema), path, compression="zstd")
