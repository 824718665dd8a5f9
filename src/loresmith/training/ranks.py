"""The processes that train one model together, as far as the loop needs to know of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is.

    Attributes:
        rank: 0 .. world - 1.
        world: processes; one where nothing is distributed.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def joined(cls) -> Ranks:
        """The processes that this one has joined; itself alone where it has joined none."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return cls()
        return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())

    @property
    def first(self) -> bool:
        """Whether this is the process that writes what all of them have in common."""
        return self.rank == 0

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Each number summed over the processes, which all call this at the same point; exact up to 2**53."""
        if self.world == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64, device="cuda" if torch.cuda.is_available() else "cpu")
        torch.distributed.all_reduce(total)
        return [float(number) for number in total]

    def from_first(self, text: str) -> str:
        """What the first of the processes says, which all call this at the same point."""
        said = [text]
        if self.world > 1:
            torch.distributed.broadcast_object_list(said)
        return said[0]
