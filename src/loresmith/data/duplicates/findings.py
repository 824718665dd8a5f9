"""What was found to be there already, as an Arrow table that lies on disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.ipc

Kind = Literal["document", "paragraph", "line", "near", "contained"]

_TEXTS: list[tuple[str, pa.DataType]] = [(name, pa.string()) for name in ("document", "kept", "kind")]
_NUMBERS: list[tuple[str, pa.DataType]] = [("similarity", pa.float64()), ("start", pa.int64()), ("end", pa.int64())]

FINDINGS = pa.schema([*_TEXTS, *_NUMBERS])
"""`document` has what `kept` has, too; `kind` says of which sort the finding is, and `similarity` how much of it is the
same, from 0 to 1. Of a paragraph or a line, `start` and `end` are the first character and the one after the last; of a
whole document they are null."""


def write_findings(path: Path, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Write a table and read it back mapped into memory, so that its size does not matter."""
    with pa.OSFile(str(path), "wb") as file, pyarrow.ipc.new_file(file, FINDINGS) as writer:
        for batch in batches:
            writer.write_batch(batch)
    with pa.memory_map(str(path)) as mapped:
        return pyarrow.ipc.open_file(mapped).read_all()
