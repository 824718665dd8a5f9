"""The protocol of what computes a model for the engine `torch`."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from loresmith.serving.engines.embedded.layout import Layout


class Network(Protocol):
    """A model and what it remembers of the requests in its slots."""

    @property
    def path(self) -> str:
        """Which code computes it."""

    @property
    def reuses(self) -> bool:
        """Whether a slot can go back to its beginning, and give it to another."""

    @property
    def pieces(self) -> bool:
        """Whether a prompt may come in several steps; otherwise all of it comes in one."""

    def forward(self, layout: Layout) -> Tensor:
        """Put one step's tokens through the model.

        Returns:
            The logits (S, V) after the segments that ask for them, in the order of `layout.asked`.
        """

    def copy_beginning(self, source: int, target: int, positions: int) -> None:
        """Give one slot what another remembers of its first positions."""

    def forget(self, slot: int) -> None:
        """A slot's request is over, and nothing of it will be used."""
