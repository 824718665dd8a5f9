"""How the time for a byte grows with a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def growth_of(taken: Mapping[int, tuple[float, int]]) -> dict[str, Any]:
    """What there is to say of corpora of several sizes.

    Args:
        taken: by how many times the smallest size it is: seconds, and bytes.

    Returns:
        `nanoseconds_per_byte` by size, and `largest_above_smallest`: by which share a byte takes longer where it takes
        longest than where it takes shortest, 0 where the cost is linear.
    """
    per_byte = {times: seconds / bytes_ * 1e9 for times, (seconds, bytes_) in taken.items()}
    return {
        "nanoseconds_per_byte": {f"{times}x": round(each, 3) for times, each in per_byte.items()},
        "largest_above_smallest": round(max(per_byte.values()) / min(per_byte.values()) - 1, 3),
    }
