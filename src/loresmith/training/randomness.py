"""Randomness without streams: every draw has a seed of its own, derived from what it is for."""

from __future__ import annotations

import hashlib


def derived_seed(seed: int, purpose: str, *coordinates: int) -> int:
    """A seed in 0 .. 2**63 - 1 (torch takes signed 64-bit ones), equal for equal arguments and for no others.

    Args:
        seed: the run's.
        purpose: what is drawn, such as `dropout`.
        coordinates: where: a step, a micro-batch, a sample.
    """
    name = "/".join([str(seed), purpose, *map(str, coordinates)])
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") >> 1
