"""Token shards: the `tokens` asset on disk, a stream of token ids for each split.

```
index.json                 what is here (see TokenShards)
train-00000.bin ...        raw little-endian ids, end to end; a stream goes on from one shard to the next
train.documents.parquet    id, path, group, offset, tokens, bytes: where each document lies in its split's stream;
                           retain_until: the last day on which it may be kept
tokenizer/                 the tokenizer that made the ids
```

Raw memory-mapped ids are read at random about 200,000 windows a second; every container format measured was
slower by a factor of six or more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loresmith.errors import Failure, UserError

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Shard:
    """One file of a stream and how many tokens it holds."""

    file: str
    tokens: int


@dataclass(frozen=True)
class Split:
    """What one split holds. `bytes` counts the UTF-8 bytes of the documents' text."""

    documents: int
    tokens: int
    bytes: int
    shards: tuple[Shard, ...]


def dtype_for(vocabulary_size: int) -> np.dtype[Any]:
    """The narrowest type that holds every id: little-endian uint16 up to 65,536 ids, uint32 beyond."""
    return np.dtype("<u2") if vocabulary_size <= 1 << 16 else np.dtype("<u4")


class TokenStream:
    """All tokens of one split, in order, as one long sequence."""

    def __init__(self, directory: Path, name: str, split: Split, dtype: np.dtype[Any]) -> None:
        self.name = name
        self.directory = directory
        self._split = split
        self._dtype = dtype
        self._starts = np.cumsum([0, *(shard.tokens for shard in split.shards)])

    def __len__(self) -> int:
        return self._split.tokens

    def read(self, start: int, count: int) -> NDArray[Any]:
        """Tokens start .. start + count - 1, as a new array of shape (count,) in the stream's dtype.

        Raises:
            IndexError: the window does not lie inside the stream.
        """
        if start < 0 or count < 0 or start + count > len(self):
            raise IndexError(f"tokens {start} to {start + count} of the {len(self)} of split {self.name}")
        tokens = np.empty(count, dtype=self._dtype)
        done = 0
        shard = int(np.searchsorted(self._starts, start, side="right")) - 1
        while done < count:
            offset = start + done - int(self._starts[shard])
            here = self._maps[shard][offset : offset + count - done]
            tokens[done : done + len(here)] = here
            done += len(here)
            shard += 1
        return tokens

    def documents(self) -> pa.Table:
        """Where each document lies: id, path, group, offset, tokens (with the end-of-document token), bytes, and
        `retain_until`, the last day on which it may be kept."""
        import pyarrow.parquet

        return pyarrow.parquet.read_table(self.directory / f"{self.name}.documents.parquet")

    def names(self) -> list[tuple[str, str]]:
        """Id and path of each document."""
        table = self.documents()
        return [
            (str(name), str(path))
            for name, path in zip(table["id"].to_pylist(), table["path"].to_pylist(), strict=True)
        ]

    @cached_property
    def _maps(self) -> list[NDArray[Any]]:
        return [np.memmap(self.directory / shard.file, self._dtype, mode="r") for shard in self._split.shards]


class TokenShards:
    """A `tokens` asset, opened for reading.

    Attributes:
        directory: where it lies.
        dtype: type of the ids on disk.
        vocabulary_size: every id is below it.
        end_of_document: the id that follows every document.
        splits: what each split holds; a split without documents is there, with zeros.
    """

    def __init__(self, directory: Path, index: Mapping[str, Any]) -> None:
        self.directory = directory
        self.dtype: np.dtype[Any] = np.dtype(index["dtype"]).newbyteorder("<")
        self.vocabulary_size: int = index["vocabulary_size"]
        self.end_of_document: int = index["end_of_document"]
        self.splits: dict[str, Split] = {
            name: Split(
                documents=split["documents"],
                tokens=split["tokens"],
                bytes=split["bytes"],
                shards=tuple(Shard(shard["file"], shard["tokens"]) for shard in split["shards"]),
            )
            for name, split in index["splits"].items()
        }

    @classmethod
    def open(cls, directory: Path) -> TokenShards:
        """Open a `tokens` asset.

        Raises:
            UserError: the directory holds no token shards, or a format this version does not read.
            Failure: a shard is missing, or not as long as the index says.
        """
        path = directory / "index.json"
        if not path.is_file():
            raise UserError("this is not a tokens asset: it has no index.json", where=str(directory))
        index = json.loads(path.read_text(encoding="utf-8"))
        if index.get("format") != FORMAT:
            raise UserError(
                f"token shards of format {index.get('format')}; this version reads format {FORMAT}", where=str(path)
            )
        shards = cls(directory, index)
        for split in shards.splits.values():
            for shard in split.shards:
                shards._require_whole(shard)
        return shards

    def split(self, name: str) -> TokenStream:
        """The stream of one split.

        Raises:
            UserError: there is no such split.
        """
        if name not in self.splits:
            raise UserError(f"no split {name!r}; there are {', '.join(self.splits)}", where=str(self.directory))
        return TokenStream(self.directory, name, self.splits[name], self.dtype)

    def _require_whole(self, shard: Shard) -> None:
        path = self.directory / shard.file
        found = path.stat().st_size if path.is_file() else None
        expected = shard.tokens * self.dtype.itemsize
        if found != expected:
            state = "is missing" if found is None else f"has {found} bytes"
            raise Failure(f"the shard {state}; the index says {expected} bytes", where=str(path))


class ShardWriter:
    """Writes the stream of one split, document by document, starting a new file before one grows too large.

    A document that is larger than what is left of a shard goes on in the next one.

    Args:
        directory: where the files go.
        name: the split.
        dtype: as `dtype_for` gives it.
        shard_bytes: largest size of a file, in bytes.
    """

    def __init__(self, directory: Path, name: str, dtype: np.dtype[Any], shard_bytes: int) -> None:
        self.tokens = 0
        self._directory = directory
        self._name = name
        self._dtype = dtype
        self._capacity = max(1, shard_bytes // dtype.itemsize)
        self._shards: list[Shard] = []

    def append(self, tokens: NDArray[Any]) -> int:
        """Add the tokens of one or more documents; returns the offset at which they begin in the stream."""
        offset = self.tokens
        done = 0
        while done < len(tokens):
            if not self._shards or self._shards[-1].tokens == self._capacity:
                self._shards.append(Shard(f"{self._name}-{len(self._shards):05d}.bin", 0))
            shard = self._shards[-1]
            part = np.ascontiguousarray(tokens[done : done + self._capacity - shard.tokens], dtype=self._dtype)
            with (self._directory / shard.file).open("ab") as file:
                file.write(part.tobytes())
            self._shards[-1] = Shard(shard.file, shard.tokens + len(part))
            done += len(part)
        self.tokens += done
        return offset

    def index(self, documents: int, bytes_: int) -> dict[str, Any]:
        """This split's entry of index.json."""
        return {
            "documents": documents,
            "tokens": self.tokens,
            "bytes": bytes_,
            "shards": [{"file": shard.file, "tokens": shard.tokens} for shard in self._shards],
        }


def write_index(
    directory: Path, dtype: np.dtype[Any], vocabulary_size: int, end_of_document: int, splits: Mapping[str, Any]
) -> None:
    """Write index.json, which makes a directory of shards a `tokens` asset."""
    index = {
        "format": FORMAT,
        "dtype": dtype.name,
        "vocabulary_size": vocabulary_size,
        "end_of_document": end_of_document,
        "splits": dict(splits),
    }
    (directory / "index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
