"""Packing: documents to token shards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loresmith.data.corpus import read_documents
from loresmith.data.encoding import Encoder
from loresmith.data.fast_encoding import FastEncoding, NotFast
from loresmith.data.sampling import in_sample
from loresmith.data.shards import SPLITS, ShardWriter, TokenShards, dtype_for, write_index
from loresmith.data.tables import TableWriter

Look = Callable[[int, int], None]
"""Called with the bytes and tokens packed so far; it may raise to stop."""


_TEXTS: list[tuple[str, pa.DataType]] = [(name, pa.string()) for name in ("id", "path", "group")]
_NUMBERS: list[tuple[str, pa.DataType]] = [(name, pa.int64()) for name in ("offset", "tokens", "bytes")]
TOKEN_COLUMNS = pa.schema([*_TEXTS, *_NUMBERS, ("retain_until", pa.string())])
"""Where each document lies in its split's stream, and the last day (YYYY-MM-DD) on which it may be kept; empty: none is
set."""
_READ = ("id", "path", "group", "bytes", "text", "retain_until")

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
        first_retain_until: the first of the days on which one of the documents has to go, YYYY-MM-DD; empty: none has.
        encoder: what encoded (`library`), on how many documents of the sample it was compared with the tokenizer itself
            (`compared`), and why no faster one was used (`reason`; empty if one was).
    """

    entered: dict[str, int]
    splits: dict[str, dict[str, int]]
    vocabulary_size: int
    round_trip: dict[str, int]
    first_retain_until: str
    encoder: dict[str, str | int]


class _Differs(Exception):
    """Two encoders gave different ids for a document."""


def pack(
    corpus: Path, tokenizer: Path, target: Path, shard_bytes: int, look: Look, fast: FastEncoding | None = None
) -> Packed:
    """Encode every document of a corpus into the shards of its split.

    The faster encoder is used where there is one, and compared with the tokenizer itself on a sample of these
    documents: if any of them comes out in another way, all is packed anew by the tokenizer itself.

    Args:
        corpus, tokenizer: assets of these kinds.
        target: the folder of the `tokens` asset.
        shard_bytes: largest size of a shard file, in bytes.
        look: called after each batch.
        fast: the faster encoder to begin with; None: the tokenizer's own, if there is one.

    Raises:
        UserError: the corpus holds no documents, or the tokenizer cannot be used.
    """
    exact = Encoder.load(tokenizer).made_exact()
    try:
        return _pack(exact.made_fast(fast), exact, "", corpus, tokenizer, target, shard_bytes, look)
    except NotFast as error:
        reason = str(error)
    except _Differs as error:
        reason = f"the faster encoder gave other ids for {error}"
        for file in target.iterdir():
            file.unlink()
    return _pack(exact, None, reason, corpus, tokenizer, target, shard_bytes, look)


def _pack(
    encoder: Encoder,
    judge: Encoder | None,
    reason: str,
    corpus: Path,
    tokenizer: Path,
    target: Path,
    shard_bytes: int,
    look: Look,
) -> Packed:
    """Pack with an encoder, as long as it agrees with the judge about the sample."""
    dtype = dtype_for(encoder.vocabulary_size)
    entered = {"documents": 0, "bytes": 0, "tokens": 0}
    for batch in read_documents(corpus, ("bytes",)):
        entered["documents"] += batch.num_rows
        entered["bytes"] += sum(batch.to_pydict()["bytes"])
    done_bytes = 0
    first_to_go = ""
    index = {}
    checked: list[_Sample] = []
    for split in SPLITS:
        writer = ShardWriter(target, split, dtype, shard_bytes)
        documents = bytes_ = 0
        with TableWriter(target / f"{split}.documents.parquet", TOKEN_COLUMNS) as table:
            for batch in read_documents(corpus, _READ, split):
                rows = batch.to_pylist()
                for row, ids in zip(rows, encoder.documents([row["text"] for row in rows]), strict=True):
                    text = row.pop("text")
                    row["offset"], row["tokens"] = writer.append(ids), len(ids)
                    first_to_go = min(filter(None, (first_to_go, row["retain_until"])), default="")
                    table.add(row)
                    if in_sample(row["id"], _CHECKED_BYTES, entered["bytes"]):
                        _require_equal(row["path"], text, ids, judge)
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
        first_retain_until=first_to_go,
        encoder={"library": encoder.library, "compared": len(checked) if judge else 0, "reason": reason},
    )


def _require_equal(path: str, text: str, ids: NDArray[np.int64], judge: Encoder | None) -> None:
    if judge is not None and not np.array_equal(ids, judge.document(text)):
        raise _Differs(path)


@dataclass(frozen=True)
class _Sample:
    """A document to be compared with what lies in the shards."""

    split: str
    offset: int
    tokens: int
    text: str

    def read_back(self, shards: TokenShards, encoder: Encoder) -> str:
        return encoder.text(shards.split(self.split).read(self.offset, self.tokens - 1))
