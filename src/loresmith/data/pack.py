"""Packing: documents to token shards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from loresmith.data.corpus import read_documents
from loresmith.data.encoding import Encoder
from loresmith.data.sampling import in_sample
from loresmith.data.shards import SPLITS, ShardWriter, TokenShards, dtype_for, write_index
from loresmith.data.tables import TableWriter

Look = Callable[[int, int], None]
"""Called with the bytes and tokens packed so far; it may raise to stop."""


_TEXTS: list[tuple[str, pa.DataType]] = [(name, pa.string()) for name in ("id", "path", "group")]
_NUMBERS: list[tuple[str, pa.DataType]] = [(name, pa.int64()) for name in ("offset", "tokens", "bytes")]
_COLUMNS = pa.schema([*_TEXTS, *_NUMBERS])

_CHECKED_BYTES = 1 << 20


@dataclass
class Packed:
    """What was packed.

    Attributes:
        entered: documents, bytes and tokens that went in: rows of the corpus, and ids that the tokenizer gave.
        splits: documents, bytes and tokens of each split, as they lie in its shards.
        vocabulary_size: of the tokenizer.
        round_trip: of a sample of documents, how many were read back from the shards and decoded, and how many of
            them gave their text again.
    """

    entered: dict[str, int]
    splits: dict[str, dict[str, int]]
    vocabulary_size: int
    round_trip: dict[str, int]


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
    sizes = [size for batch in read_documents(corpus, ("bytes",)) for size in batch.to_pydict()["bytes"]]
    entered = {"documents": len(sizes), "bytes": sum(sizes), "tokens": 0}
    done_bytes = 0
    index = {}
    checked: list[_Sample] = []
    for split in SPLITS:
        writer = ShardWriter(target, split, dtype, shard_bytes)
        documents = bytes_ = 0
        with TableWriter(target / f"{split}.documents.parquet", _COLUMNS) as table:
            for batch in read_documents(corpus, ("id", "path", "group", "bytes", "text"), split):
                rows = batch.to_pylist()
                for row, ids in zip(rows, encoder.documents([row["text"] for row in rows]), strict=True):
                    text = row.pop("text")
                    row["offset"], row["tokens"] = writer.append(ids), len(ids)
                    table.add(row)
                    if in_sample(row["id"], _CHECKED_BYTES, entered["bytes"]):
                        checked.append(_Sample(split, row["offset"], len(ids), text))
                    documents += 1
                    bytes_ += row["bytes"]
                    entered["tokens"] += len(ids)
                look(done_bytes + bytes_, entered["tokens"])
        done_bytes += bytes_
        index[split] = writer.index(documents, bytes_)
    write_index(target, dtype, encoder.vocabulary_size, encoder.end_of_document, index)
    shutil.copytree(tokenizer, target / "tokenizer")
    shards = TokenShards.open(target)
    return Packed(
        entered=entered,
        splits={
            name: {"documents": split.documents, "bytes": split.bytes, "tokens": split.tokens}
            for name, split in shards.splits.items()
        },
        vocabulary_size=encoder.vocabulary_size,
        round_trip={
            "documents": len(checked),
            "equal": sum(sample.read_back(shards, encoder) == sample.text for sample in checked),
        },
    )


@dataclass(frozen=True)
class _Sample:
    """A document to be compared with what lies in the shards."""

    split: str
    offset: int
    tokens: int
    text: str

    def read_back(self, shards: TokenShards, encoder: Encoder) -> str:
        return encoder.text(shards.split(self.split).read(self.offset, self.tokens - 1))
