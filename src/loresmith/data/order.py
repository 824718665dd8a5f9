"""The orders in which training sees its samples: addressable, so that any position can be resumed without replay."""

from __future__ import annotations

import hashlib
import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loresmith.data.mixing import mix

_ROUNDS = 8


class Order(Protocol):
    """An order of samples for every epoch; as `SampleOrder`."""

    def locate(self, global_position: int) -> tuple[int, int]: ...

    def at(self, epoch: int, position: int) -> int: ...

    def take(self, global_position: int, count: int) -> NDArray[np.int64]: ...


class GivenOrder:
    """Samples in every epoch as they lie, for data whose order means something, such as a curriculum.

    Args:
        samples: how many samples there are, at least 1.

    Raises:
        ValueError: `samples` is not positive.
    """

    def __init__(self, samples: int) -> None:
        if samples < 1:
            raise ValueError(f"an order needs at least one sample, not {samples}")
        self.samples = samples

    def locate(self, global_position: int) -> tuple[int, int]:
        """The (epoch, position in it) of the n-th sample since training began."""
        return divmod(global_position, self.samples)

    def at(self, epoch: int, position: int) -> int:
        """The sample at a position of an epoch; raises IndexError as `SampleOrder.at`."""
        if not 0 <= position < self.samples:
            raise IndexError(f"position {position} of epoch {epoch} of {self.samples} samples")
        return position

    def take(self, global_position: int, count: int) -> NDArray[np.int64]:
        """The `count` samples from a global position on, across the ends of epochs: int64 of shape (count,)."""
        return np.arange(global_position, global_position + count, dtype=np.int64) % self.samples


class SampleOrder:
    """A pseudorandom order of `samples` samples for every epoch, computed rather than stored.

    Each epoch is a keyed permutation of 0 .. samples - 1: a generalised Feistel network over a square that is
    just large enough, with values outside the range walked back into it (Black and Rogaway, "Ciphers with
    Arbitrary Finite Domains", 2002). So every sample comes exactly once an epoch, epochs differ, and position
    10 billion costs what position 0 costs: no memory that grows with the data, nothing to replay.

    Args:
        samples: how many samples there are, at least 1.
        seed: decides the order together with the epoch.

    Raises:
        ValueError: `samples` is not positive.
    """

    def __init__(self, samples: int, seed: int) -> None:
        if samples < 1:
            raise ValueError(f"an order needs at least one sample, not {samples}")
        self.samples = samples
        self.seed = seed
        self._side = math.isqrt(samples - 1) + 1

    def locate(self, global_position: int) -> tuple[int, int]:
        """The (epoch, position in it) of the n-th sample since training began."""
        return divmod(global_position, self.samples)

    def at(self, epoch: int, position: int) -> int:
        """The sample at a position of an epoch.

        Raises:
            IndexError: the position is outside 0 .. samples - 1.
        """
        if not 0 <= position < self.samples:
            raise IndexError(f"position {position} of an epoch of {self.samples} samples")
        return int(self._permute(epoch, np.array([position], dtype=np.uint64))[0])

    def take(self, global_position: int, count: int) -> NDArray[np.int64]:
        """The `count` samples from a global position on, across the ends of epochs: int64 of shape (count,)."""
        parts = []
        while count > 0:
            epoch, position = self.locate(global_position)
            here = min(count, self.samples - position)
            parts.append(self._permute(epoch, np.arange(position, position + here, dtype=np.uint64)))
            global_position += here
            count -= here
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

    def _permute(self, epoch: int, positions: NDArray[np.uint64]) -> NDArray[np.int64]:
        keys = np.frombuffer(hashlib.blake2b(f"{self.seed}/{epoch}".encode()).digest(), dtype="<u8")[:_ROUNDS]
        result = self._encrypt(keys, positions)
        outside = np.flatnonzero(result >= self.samples)
        while outside.size:
            result[outside] = self._encrypt(keys, result[outside])
            outside = outside[result[outside] >= self.samples]
        return result.astype(np.int64)

    def _encrypt(self, keys: NDArray[np.uint64], values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        side = np.uint64(self._side)
        left, right = values // side, values % side
        for key in keys:
            left, right = right, (left + mix(right + key) % side) % side
        return left * side + right
