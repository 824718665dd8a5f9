"""Documentation that every machine with Python has: that of installed packages."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

ENDINGS = (".rst", ".md", ".html", ".txt")
SMALLEST, LARGEST = 600, 150_000
_NO_DOCUMENTS = frozenset({"top_level.txt", "entry_points.txt", "requires.txt", "namespace_packages.txt", "vendor.txt"})


def installed_documentation(most_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Files of documentation of the installed packages, by their paths; of each ending an equal share of the bytes."""
    packages = Path(sysconfig.get_path("purelib"))
    found = sorted(path for path in packages.rglob("*") if path.suffix in ENDINGS and path.name not in _NO_DOCUMENTS)
    for ending in ENDINGS:
        left = most_bytes // len(ENDINGS)
        for path in found:
            size = path.stat().st_size
            if path.suffix == ending and path.is_file() and SMALLEST <= size <= min(LARGEST, left):
                left -= size
                yield path.relative_to(packages).as_posix(), path.read_bytes()
