"""The way back from a snapshot of conversations: files that `ingest-messages` reads as it once read the originals."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet

from loresmith.data.path_names import raw_path
from loresmith.errors import UserError


def restore(source: Path, dataset: Path, places: int, folder: Path) -> list[Path]:
    """Lay out what was read.

    Args:
        source, dataset: what the step made.
        places: from how many places it read.
        folder: an empty folder.

    Returns:
        The places, in `folder`; a place that was a file alone is a file.

    Raises:
        UserError: a file could not be read then, and so cannot be made again.
    """
    books = pyarrow.parquet.read_table(dataset / "books.parquet", columns=["path", "reason"]).to_pylist()
    for row in books:
        if "#L" not in row["path"] and row["reason"] not in ("empty", "rights sidecar"):
            raise UserError(f"it was not read then: {row['reason']}", where=row["path"])
    top = folder if places > 1 else folder / "place"
    for kept in sorted((source / "files").rglob("*")):
        if kept.is_file():
            target = top / raw_path(str(kept.relative_to(source / "files")))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(kept, target)
    if places > 1:
        return sorted(_named_file(place) for place in top.iterdir())
    inside = list(top.iterdir())
    return inside if len(inside) == 1 and inside[0].is_file() else [top]


def _named_file(place: Path) -> Path:
    """The file that a place was, if it was one: it then holds itself alone, and patterns do not apply to it."""
    return place / place.name if [inside.name for inside in place.iterdir()] == [place.name] else place
