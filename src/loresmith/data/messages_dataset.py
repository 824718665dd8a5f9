"""The `dataset` asset: conversations, one row each, in the order in which they were read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from loresmith.errors import UserError

RECORDS = "records.parquet"

_TEXTS: list[tuple[str, pa.DataType]] = [
    (name, pa.string()) for name in ("id", "split", "group", "messages", "tools", "path")
]
RECORD_COLUMNS = pa.schema(
    [
        *_TEXTS,
        ("line", pa.int64()),
        ("licence", pa.string()),
        ("labels", pa.list_(pa.string())),
        ("metadata", pa.string()),
        ("bytes", pa.int64()),
        ("owner", pa.string()),
        ("uses", pa.list_(pa.string())),
        ("retain_until", pa.string()),
    ]
)
"""`messages` and `tools` are JSON, as `messages.json_text` writes it, `metadata` as `readers.record.metadata_json`;
`group` names what a model could not tell apart, which is on one side of the split; `bytes` are the line's; `uses` and
`retain_until` are as `documents` has them."""

_READ = ("id", "path", "line", "split", "messages", "tools", "uses")


@dataclass(frozen=True)
class DatasetRecord:
    """One conversation of a dataset.

    Attributes:
        number: its place in the dataset, from 1.
        id: names it; it follows from its place and its text.
        path, line: where it was read.
        split: train or validation.
        messages, tools: see `messages`.
        uses: what it may be used for; None: an earlier version made the dataset, which knew no such limits.
    """

    number: int
    id: str
    path: str
    line: int
    split: str
    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...]
    uses: tuple[str, ...] | None = None

    def may(self, use: str) -> bool:
        """Whether it may be used in a way: `train`, `evaluate`, `retrieve`."""
        return self.uses is None or use in self.uses

    @property
    def where(self) -> str:
        """How messages to people name it."""
        return f"{self.path}:{self.line} (record {self.number})"


def read_records(directory: Path, split: str | None = None, first: int = 1) -> Iterator[DatasetRecord]:
    """The records of a `dataset` asset, in their order.

    Args:
        split: only those of this split.
        first: begin with the record of this number.

    Raises:
        UserError: this is no dataset of conversations.
    """
    number = 0
    with _opened(directory) as table:
        columns = [name for name in _READ if name in table.schema_arrow.names]
        for group in range(table.num_row_groups):
            rows = table.metadata.row_group(group).num_rows
            if number + rows < first:
                number += rows
                continue
            for row in table.read_row_group(group, columns=columns).to_pylist():
                number += 1
                if number >= first and split in (None, row["split"]):
                    messages, tools = (tuple(json.loads(row.pop(key))) for key in ("messages", "tools"))
                    uses = tuple(row.pop("uses")) if "uses" in row else None
                    yield DatasetRecord(number, messages=messages, tools=tools, uses=uses, **row)


def count_records(directory: Path) -> int:
    """How many records a dataset has; raises as `read_records`."""
    with _opened(directory) as table:
        return int(table.metadata.num_rows)


def _opened(directory: Path) -> pyarrow.parquet.ParquetFile:
    try:
        return pyarrow.parquet.ParquetFile(directory / RECORDS, pre_buffer=False)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise UserError(
            f"this is no dataset of conversations: {error}", where=str(directory), hint="`ingest-messages` makes one"
        ) from error
