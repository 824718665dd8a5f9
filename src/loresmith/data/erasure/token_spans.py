"""Which files of token shards hold tokens of a document."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from loresmith.data.open_tables import read_columns

INDEX = "index.json"


def shards_with(ids: Collection[str], open_file: Callable[[str], BinaryIO]) -> set[str]:
    """The names of the shards in which a document of these ids has tokens.

    Args:
        open_file: opens a file of the asset by its name.
    """
    with open_file(INDEX) as index:
        splits = json.load(index)["splits"]
    found: set[str] = set()
    for split, facts in splits.items():
        if not facts["documents"]:
            continue
        with open_file(f"{split}.documents.parquet") as file:
            table = read_columns(file, ["id", "offset", "tokens"])
        held = table.filter(pc.is_in(table["id"], value_set=pa.array(sorted(ids), pa.string())))
        spans = [(row["offset"], row["tokens"]) for row in held.select(["offset", "tokens"]).to_pylist()]
        start = 0
        for shard in facts["shards"]:
            end = start + shard["tokens"]
            if any(offset < end and start < offset + tokens for offset, tokens in spans):
                found.add(shard["file"])
            start = end
    return found
