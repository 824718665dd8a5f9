"""What the tests of this room share: folders of files, the steps run on them, and tables read back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from loresmith.data.steps import CURATE, INGEST
from loresmith.factory.step import Result
from tests.step_context import as_input, run_step


def rows(directory: Path, name: str = "documents-*.parquet") -> list[dict[str, Any]]:
    """All rows of an asset's Parquet files."""
    return [row for path in sorted(directory.glob(name)) for row in pq.read_table(path).to_pylist()]


def files_of(directory: Path) -> dict[str, bytes]:
    """Every file below a folder, by path."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def ingest(folder: Path, output: Path, **config: Any) -> Result:
    return run_step(INGEST, output / "ingest", {"path": str(folder), **config})


def curate(folder: Path, output: Path, **config: Any) -> Result:
    """Ingest a folder and curate what came of it."""
    documents = ingest(folder, output).outputs["documents"]
    return run_step(CURATE, output / "curate", config, {"documents": as_input("documents", documents)})
