"""Draws a fixed number from each stratum, without knowing how many will come.

Every request has a random number that follows from its id; a stratum keeps those with the lowest. Several gateways
that draw apart have, together, drawn as one would have: the lowest of all are among the lowest of each.
"""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass, field


def priority_of(response: str) -> int:
    """The random number of a request, of 64 bits."""
    return int.from_bytes(hashlib.blake2b(response.encode("utf-8", "surrogatepass"), digest_size=8).digest())


@dataclass
class Stratum:
    """What was drawn of one stratum."""

    size: int
    seen: int = 0
    _kept: list[int] = field(default_factory=list)
    """A heap of the negated priorities: the highest of those kept comes first."""

    def admit(self, priority: int) -> bool:
        """Count one more request; whether it is among those drawn so far."""
        self.seen += 1
        if len(self._kept) < self.size:
            heapq.heappush(self._kept, -priority)
            return True
        if priority >= -self._kept[0]:
            return False
        heapq.heapreplace(self._kept, -priority)
        return True
