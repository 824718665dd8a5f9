"""The way back from a snapshot of conversations: files that `ingest-messages` reads as it once read the originals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet

from loresmith.data.path_names import raw_path
from loresmith.data.snapshot import link_between
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
    with (source / "listing.jsonl").open(encoding="utf-8") as listing:
        listed = {row["path"]: row.get("target", "") for row in map(json.loads, listing)}
    links = {path: target for path, target in listed.items() if target in listed}
    top = folder if places > 1 else folder / "place"
    for kept in sorted((source / "files").rglob("*")):
        if kept.is_file():
            written = str(kept.relative_to(source / "files"))
            target = top / raw_path(written)
            target.parent.mkdir(parents=True, exist_ok=True)
            if written in links:
                target.symlink_to(link_between(written, links[written]))
            else:
                shutil.copyfile(kept, target)
    if places > 1:
        return sorted(_named_file(place) for place in top.iterdir())
    inside = list(top.iterdir())
    return inside if len(inside) == 1 and inside[0].is_file() else [top]


def _named_file(place: Path) -> Path:
    """The file that a place was, if it was one: it then holds itself alone, and patterns do not apply to it."""
    return place / place.name if [inside.name for inside in place.iterdir()] == [place.name] else place
