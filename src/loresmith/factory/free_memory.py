"""How much memory this process may still take: what the machine has left, or what its control group does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def free_memory(own: Path = Path("/proc/self/cgroup"), groups: Path = _GROUPS) -> int:
    """Bytes that are free: the least of what the machine and each control group (version 2) above this process has.

    Args:
        own: says in which group this process is.
        groups: where the groups' files lie.
    """
    import psutil

    available: int = psutil.virtual_memory().available
    return min([available, *_left(own, groups)])


def _left(own: Path, groups: Path) -> Iterator[int]:
    """What is left to each group. Files that the system is about to write count as taken, those it keeps as free."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        if not line.startswith("0::/"):
            continue
        group = groups / line.removeprefix("0::/")
        for folder in (group, *group.parents):
            try:
                limit = (folder / "memory.max").read_text().strip()
                taken = int((folder / "memory.current").read_text())
                counts = dict(pair.split() for pair in (folder / "memory.stat").read_text().splitlines())
            except (OSError, ValueError):
                continue
            if limit != "max":
                yield max(0, int(limit) - taken + int(counts.get("inactive_file", 0)))
